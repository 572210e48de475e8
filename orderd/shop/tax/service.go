package tax

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Options of a [Service]. All have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
}

// Service is the handler of TaxService. Requests reach it validated.
type Service struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, now: o.Clock} }

// UpsertTaxClass creates or replaces a class, once a request id.
func (s *Service) UpsertTaxClass(
	ctx context.Context, req *taxv1.UpsertTaxClassRequest,
) (*taxv1.UpsertTaxClassResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	in := req.GetTaxClass()
	class := Class{Name: in.GetName(), Title: in.GetTitle(), Rate: in.GetRateBasisPoints()}
	now := database.Stamp(s.now())
	answer, err := idempotency.Once(
		ctx,
		s.pool,
		request,
		now,
		func(tx *database.Tx) (*taxv1.UpsertTaxClassResponse, error) {
			return &taxv1.UpsertTaxClassResponse{TaxClass: class.proto()}, upsert(ctx, tx, class, now)
		},
	)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ListTaxClasses returns all classes.
func (s *Service) ListTaxClasses(
	ctx context.Context, _ *taxv1.ListTaxClassesRequest,
) (*taxv1.ListTaxClassesResponse, error) {
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
