package tax

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// Service is the handler of TaxService. Requests reach it validated.
type Service struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewService takes the database and a clock.
func NewService(pool *pgxpool.Pool, now func() time.Time) *Service {
	return &Service{pool: pool, now: now}
}

// UpsertTaxClass creates or replaces a class, once a request id.
func (s *Service) UpsertTaxClass(ctx context.Context, req *taxv1.UpsertTaxClassRequest) (*taxv1.UpsertTaxClassResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	in := req.GetTaxClass()
	class := Class{Name: in.GetName(), Title: in.GetTitle(), Rate: in.GetRateBasisPoints()}
	answer := &taxv1.UpsertTaxClassResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		answer.TaxClass = class.proto()
		var b pgx.Batch
		if err := request.Claim(&b, s.now(), answer); err != nil {
			return err
		}
		queueUpsert(&b, class, s.now())
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ListTaxClasses returns all classes.
func (s *Service) ListTaxClasses(ctx context.Context, _ *taxv1.ListTaxClassesRequest) (*taxv1.ListTaxClassesResponse, error) {
	classes, err := list(ctx, s.pool)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &taxv1.ListTaxClassesResponse{}
	for _, c := range classes {
		answer.TaxClasses = append(answer.TaxClasses, c.proto())
	}
	return answer, nil
}
