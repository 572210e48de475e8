package coupon

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

// list reads a page of a buyer's coupons in one state, behind a position.
func (s *Store) list(
	ctx context.Context, buyerID string, state State, after position, now time.Time, size int,
) ([]*Coupon, error) {
	const page = " AND (c.valid_until, c.coupon_id) > ($3, $4) ORDER BY c.valid_until, c.coupon_id LIMIT $5"
	const from = "SELECT " + couponColumns + ` FROM coupons c JOIN coupon_terms t ON t.template = c.template AND t.revision = c.revision
		WHERE c.buyer_id = $1 AND c.state = $2`
	switch state {
	case Available:
		return read(ctx, s.pool, from+" AND c.valid_until > $6"+page, buyerID, string(Available), after.validUntil, after.id,
			size, now)
	case Expired:
		return read(ctx, s.pool, from+" AND c.valid_until <= $6"+page, buyerID, string(Available), after.validUntil, after.id,
			size, now)
	}
	return read(ctx, s.pool, from+page, buyerID, string(state), after.validUntil, after.id, size)
}

// history reads what happened to a buyer's coupon, oldest first; nothing if the
// buyer has no such coupon.
func (s *Store) history(ctx context.Context, buyerID string, id uuid.UUID) ([]*couponv1.CouponChange, error) {
	rows, err := s.pool.Query(ctx,
		`SELECT h.version, h.event, h.from_state, h.to_state, h.actor, h.reason, h.order_id, h.at
		FROM coupon_history h JOIN coupons c ON c.coupon_id = h.coupon_id
		WHERE h.coupon_id = $1 AND c.buyer_id = $2 ORDER BY h.version LIMIT $3`, id, buyerID, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("reading a coupon's history: %w", err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*couponv1.CouponChange, error) {
		ch := &couponv1.CouponChange{}
		var from, to State
		var orderID *uuid.UUID
		var at time.Time
		if err := row.Scan(&ch.Version, &ch.Event, &from, &to, &ch.Actor, &ch.Reason, &orderID, &at); err != nil {
			return nil, err
		}
		ch.From, ch.To, ch.At = from.proto(), to.proto(), timestamppb.New(at)
		if orderID != nil {
			ch.OrderId = orderID.String()
		}
		return ch, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading a coupon's history: %w", err)
	}
	return changes, nil
}

// maxHistory bounds an answer: a coupon that orders have locked and let go of five hundred times.
const maxHistory = 1000
