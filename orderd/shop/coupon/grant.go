package coupon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

// GrantWish is coupons that somebody gives to a buyer.
type GrantWish struct {
	Template string
	BuyerID  string
	// Quantity of coupons: all of them or none.
	Quantity int64
	// Bucket of the template's budget to take from, if that has enough left: the same one for all
	// that one transaction grants.
	Bucket uint8
	// Actor and Reason go to the coupons' history.
	Actor, Reason string
}

// Why coupons were not granted.
const (
	TemplateNotFound = "TEMPLATE_NOT_FOUND"
	TemplateOff      = "TEMPLATE_OFF"
	// TemplateOver: the coupon could no longer be used.
	TemplateOver    = "TEMPLATE_OVER"
	CouponExhausted = "COUPON_EXHAUSTED"
	LimitPerBuyer   = "LIMIT_PER_BUYER"
)

// MaxGrantQuantity is how many coupons one wish may be for.
const MaxGrantQuantity = 10

// NotGrantedError says why a buyer did not get the coupons. Nothing has happened, and the
// transaction can go on.
type NotGrantedError struct{ Why string }

// Error says why.
func (e *NotGrantedError) Error() string { return "not granted: " + e.Why }

// Grant gives a buyer coupons in a transaction of the caller's, or none of them and
// a *NotGrantedError. Whether the template is for buyers to claim does not matter.
func (s *Store) Grant(ctx context.Context, tx pgx.Tx, w GrantWish, at time.Time) ([]uuid.UUID, error) {
	if w.Quantity < 1 || w.Quantity > MaxGrantQuantity {
		return nil, fmt.Errorf("granting %d coupons: want 1 to %d", w.Quantity, MaxGrantQuantity)
	}
	var ids []uuid.UUID
	attempt := func(read readFunc) error {
		return budget.Attempt(func() error {
			var err error
			ids, err = s.grantOnce(ctx, tx, read, w, database.Stamp(at))
			return err
		})
	}
	err := attempt(readTemplate)
	if errors.Is(err, budget.ErrChanged) {
		// Marketing has changed the template meanwhile; now it waits for us.
		err = attempt(shareTemplate)
	}
	switch {
	case errors.Is(err, budget.ErrExhausted):
		return nil, &NotGrantedError{Why: CouponExhausted}
	case errors.Is(err, errLimit):
		return nil, &NotGrantedError{Why: LimitPerBuyer}
	case err != nil:
		return nil, err
	}
	return ids, nil
}

// grantOnce works in a savepoint: a refusal undoes what came before it.
func (s *Store) grantOnce(
	ctx context.Context, tx pgx.Tx, read readFunc, w GrantWish, at time.Time,
) ([]uuid.UUID, error) {
	t, err := read(ctx, tx, w.Template)
	if err != nil {
		if connect.CodeOf(err) == connect.CodeNotFound {
			return nil, &NotGrantedError{Why: TemplateNotFound}
		}
		return nil, err
	}
	if !t.enabled {
		return nil, &NotGrantedError{Why: TemplateOff}
	}
	if _, until := t.validity(at); !at.Before(until) {
		return nil, &NotGrantedError{Why: TemplateOver}
	}
	var ids []uuid.UUID
	err = pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
		for range w.Quantity {
			begun, err := s.begin(t, w.BuyerID, at, Grant, w.Actor, w.Reason)
			if err != nil {
				return err
			}
			if err := issue(ctx, savepoint, &pgx.Batch{}, t, begun, w.Bucket); err != nil {
				return err
			}
			ids = append(ids, begun.coupon.ID)
		}
		return nil
	})
	return ids, err
}

// RevokeFor takes coupons back that are still available, expired or not, and returns which. Those
// that an order has locked or used stay.
func RevokeFor(
	ctx context.Context, tx pgx.Tx, ids []uuid.UUID, at time.Time, actor, reason string,
) ([]uuid.UUID, error) {
	byID, err := lockByID(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var revoked []uuid.UUID
	var changes []change
	for _, id := range ids {
		c := byID[id]
		if c == nil || c.State != Available {
			continue
		}
		ch, err := c.step(Revoke, database.Stamp(at), actor, reason, uuid.Nil)
		if err != nil {
			return nil, err
		}
		changes, revoked = append(changes, ch), append(revoked, id)
	}
	return revoked, write(ctx, tx, changes)
}
