package address

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Options of a [Service]. All have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
	// Random makes addresses' ids: crypto/rand.Reader.
	Random io.Reader
}

// Service is the handler of AddressService. Requests reach it validated.
type Service struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	random io.Reader
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, now: o.Clock, random: o.Random} }

// SaveAddress creates or replaces an address, once a request id.
func (s *Service) SaveAddress(
	ctx context.Context, req *addressv1.SaveAddressRequest,
) (*addressv1.SaveAddressResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	isNew := req.GetAddressId() == ""
	id, err := s.id(req.GetAddressId())
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	answer := &addressv1.SaveAddressResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		if err := lockBook(ctx, tx, req.GetBuyerId(), now); err != nil {
			return err
		}
		book, err := list(ctx, tx, req.GetBuyerId())
		if err != nil {
			return err
		}
		after, err := put(book, id, isNew, req.GetAddress(), req.GetIsDefault(), now)
		if err != nil {
			return err
		}
		answer.Address = after.proto()
		var b pgx.Batch
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		queueSave(&b, req.GetBuyerId(), after)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

func (s *Service) id(text string) (uuid.UUID, error) {
	if text != "" {
		return uuid.Parse(text)
	}
	return uuid.NewRandomFromReader(s.random)
}

// ListAddresses returns all of a buyer's addresses, the default first.
func (s *Service) ListAddresses(
	ctx context.Context, req *addressv1.ListAddressesRequest,
) (*addressv1.ListAddressesResponse, error) {
	book, err := list(ctx, s.pool, req.GetBuyerId())
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &addressv1.ListAddressesResponse{}
	for _, a := range book {
		answer.Addresses = append(answer.Addresses, a.proto())
	}
	return answer, nil
}

// DeleteAddress deletes an address, once a request id. If it was the default, the oldest
// that is left becomes it.
func (s *Service) DeleteAddress(
	ctx context.Context, req *addressv1.DeleteAddressRequest,
) (*addressv1.DeleteAddressResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	id, err := uuid.Parse(req.GetAddressId())
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	answer := &addressv1.DeleteAddressResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		if err := lockBook(ctx, tx, req.GetBuyerId(), now); err != nil {
			return err
		}
		var b pgx.Batch
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		queueRemove(&b, req.GetBuyerId(), id)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}
