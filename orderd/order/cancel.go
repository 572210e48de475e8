package order

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/lease"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// Why orders are cancelled, as the API says it.
const (
	reasonBuyer   = "BUYER"
	reasonExpired = "EXPIRED"
)

const actorExpirer = "expirer"

// cancel cancels an unpaid order for its buyer. A cancelled one stays as it is.
func (s *Store) cancel(ctx context.Context, id uuid.UUID, req *orderv1.CancelOrderRequest) (*orderv1.CancelOrderResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &orderv1.CancelOrderResponse{}
	var cancelled []change
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx pgx.Tx) error {
		cancelled = nil
		orders, err := lock(ctx, tx, []uuid.UUID{id})
		if err != nil {
			return err
		}
		if len(orders) == 0 || orders[0].BuyerID != req.GetBuyerId() {
			return ErrNotFound
		}
		var b pgx.Batch
		now := stamp(s.now())
		if orders[0].State != Cancelled {
			c, err := step(orders[0], Cancel, now, actorBuyer, reasonBuyer)
			if err != nil {
				return err
			}
			cancelled = []change{c}
		}
		answer.Order = orders[0].proto()
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		return undo(ctx, tx, &b, cancelled)
	})
	if err != nil {
		return nil, err
	}
	s.metrics.count(cancelled)
	return answer, nil
}

// Expire cancels those of the orders that are still unpaid at the given time, which is past their expiry.
func (s *Store) Expire(ctx context.Context, ids []uuid.UUID, at time.Time) error {
	var expired []change
	err := database.ExecuteTx(ctx, s.pool, func(tx pgx.Tx) error {
		expired = nil
		orders, err := lock(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, o := range orders {
			if o.State != PendingPayment || o.ExpiresAt.After(at) {
				continue
			}
			c, err := step(o, Expire, stamp(at), actorExpirer, reasonExpired)
			if err != nil {
				return err
			}
			expired = append(expired, c)
		}
		return undo(ctx, tx, &pgx.Batch{}, expired)
	})
	if err != nil {
		return fmt.Errorf("expiring orders: %w", err)
	}
	s.metrics.count(expired)
	for _, c := range expired {
		s.metrics.expiry.Observe(at.Sub(c.order.ExpiresAt).Seconds())
	}
	return nil
}

// undo sends the batch with the cancelled orders' states, history and events, and gives their stock
// back: to the SKUs, or for flash orders by a row for the Releaser.
func undo(ctx context.Context, tx pgx.Tx, b *pgx.Batch, cancelled []change) error {
	var standard, flash []*Order
	for _, c := range cancelled {
		if c.order.flash() {
			flash = append(flash, c.order)
		} else {
			standard = append(standard, c.order)
		}
	}
	if len(cancelled) > 0 {
		queueUpdates(b, cancelled)
		if err := queueRecords(b, cancelled); err != nil {
			return err
		}
	}
	if len(flash) > 0 {
		queueReleases(b, flash, cancelled[0].at)
	}
	if b.Len() > 0 {
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("cancelling orders: %w", err)
		}
	}
	return stock.Apply(ctx, tx, movements(standard, stock.Release))
}

func queueReleases(b *pgx.Batch, orders []*Order, at time.Time) {
	n := len(orders)
	ids, buckets := make([]uuid.UUID, n), make([]int64, n)
	uids, buyers, reasons := make([]string, n), make([]string, n), make([]string, n)
	for i, o := range orders {
		ids[i], buckets[i], uids[i], buyers[i], reasons[i] = o.ID, lease.Bucket(o.ID), o.PromotionUID, o.BuyerID, o.CancelReason
	}
	b.Queue(`INSERT INTO flash_releases (order_id, promotion_uid, buyer_id, reason, bucket, outcome, attempts, next_attempt_at, created_at)
		SELECT order_id, promotion_uid, buyer_id, reason, bucket, 'PENDING', 0, $6::timestamptz, $6::timestamptz
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS r (order_id, promotion_uid, buyer_id, reason, bucket)
		ON CONFLICT (order_id) DO NOTHING`, ids, uids, buyers, reasons, buckets, at)
}
