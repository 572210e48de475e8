package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
)

const (
	// maxFlashQuestions bounds the questions to the flash lane that are under way in a process: the
	// lane has other things to do.
	maxFlashQuestions = 64
	// flashTimeout bounds one of them.
	flashTimeout = 2 * time.Second
)

// FlashFinder finds orders in the flash lane, which knows those that it has accepted and that are
// not in the database yet.
type FlashFinder interface {
	// Find returns an order that the flash lane accepted; nil if it is certain that the lane has no
	// such order. After an error, ask again later.
	Find(ctx context.Context, buyerID string, id uuid.UUID) (*flashv1.FindOrderResponse, error)
}

// find reads a buyer's order from the database; if it is not there, find asks the flash lane.
// [ErrNotFound] says that neither has it. The database is asked once more after the lane: an order
// may be written, and its promotion's log go, between the first look and the lane's answer. So an
// order that was accepted is found at any moment: by the first look if it was written before, else
// by the lane while the log is there, else by the second look.
func (s *Service) find(ctx context.Context, buyerID string, id uuid.UUID) (*Order, error) {
	o, err := s.store.Get(ctx, buyerID, id)
	if !errors.Is(err, ErrNotFound) || !s.mayBeInFlashLane(buyerID, id) {
		return o, err
	}
	found, laneErr := s.askFlashLane(ctx, buyerID, id)
	o, err = s.store.Get(ctx, buyerID, id)
	switch {
	case !errors.Is(err, ErrNotFound):
		return o, err
	case laneErr != nil:
		return nil, laneErr
	case found == nil:
		return nil, ErrNotFound
	}
	return s.accepted(ctx, buyerID, found)
}

// mayBeInFlashLane is false for ids that cannot be the buyer's, so that nobody makes the lane look
// for ids that they made up.
func (s *Service) mayBeInFlashLane(buyerID string, id uuid.UUID) bool {
	if s.flash == nil {
		return false
	}
	first, last := s.ids.Range(buyerID)
	return bytes.Compare(first[:], id[:]) <= 0 && bytes.Compare(id[:], last[:]) <= 0
}

func (s *Service) askFlashLane(ctx context.Context, buyerID string, id uuid.UUID) (*flashv1.FindOrderResponse, error) {
	select {
	case s.flashSlots <- struct{}{}:
		defer func() { <-s.flashSlots }()
	default:
		s.store.metrics.lane.WithLabelValues("refused").Inc()
		return nil, rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded,
			"too many orders are looked for in the flash lane", s.retryDelay())
	}
	asking, cancel := context.WithTimeout(ctx, flashTimeout)
	defer cancel()
	found, err := s.flash.Find(asking, buyerID, id)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		s.store.metrics.lane.WithLabelValues("failed").Inc()
		const text = "the flash lane, which may have the order, does not answer"
		return nil, rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonLaneUnavailable, text, s.retryDelay()).WithCause(err)
	case found == nil:
		s.store.metrics.lane.WithLabelValues("absent").Inc()
	default:
		s.store.metrics.lane.WithLabelValues("found").Inc()
	}
	return found, nil
}

// accepted is an order of the flash lane's as buyers see it. An order that was released and is not
// in the database could not be written: to its buyer it is cancelled.
func (s *Service) accepted(ctx context.Context, buyerID string, found *flashv1.FindOrderResponse) (*Order, error) {
	r := found.GetReservation()
	id, err := uuid.FromBytes(r.GetOrderId())
	if err != nil || r.GetBuyerId() != buyerID {
		return nil, fmt.Errorf("the flash lane answered with another order than was asked for: %w",
			errors.Join(err, ErrNotFound))
	}
	o := &Order{
		ID: id, BuyerID: buyerID, State: InFlashLane, Currency: r.GetCurrency(),
		PromotionUID: found.GetPromotionUid(), Promotion: found.GetPromotion(),
		CreatedAt: time.UnixMilli(r.GetAcceptedAtUnixMs()).UTC(), ExpiresAt: time.UnixMilli(r.GetExpiresAtUnixMs()).UTC(),
	}
	if found.GetState() == flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED {
		o.State, o.CancelReason = Cancelled, cancelUnwritable
	}
	skus := make([]string, len(r.GetItems()))
	for i, item := range r.GetItems() {
		skus[i] = item.GetSku()
		o.Lines = append(o.Lines, Line{SKU: item.GetSku(), Quantity: item.GetQuantity(), UnitPrice: item.GetUnitPrice()})
	}
	sum, ok := total(o.Lines)
	if !ok {
		return nil, fmt.Errorf("order %s in the flash lane has no sum", id)
	}
	o.Total = sum
	known, err := catalog.Find(ctx, s.store.pool, skus)
	if err != nil {
		return nil, err
	}
	for i := range o.Lines {
		o.Lines[i].Title = known[o.Lines[i].SKU].Title
	}
	return o, nil
}

// cancelUnwritable is why an order is cancelled that the flash lane accepted and that
// could not be written.
const cancelUnwritable = "UNWRITABLE"
