package coupon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

const (
	actorBuyer = "buyer"
	day        = 24 * time.Hour
)

// errLimit says that the buyer has had as many coupons of the template as there are for one.
var errLimit = errors.New("the buyer's limit is reached")

// claim gives a buyer a coupon, once a request id.
func (s *Store) claim(ctx context.Context, req *couponv1.ClaimCouponRequest) (*couponv1.ClaimCouponResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &couponv1.ClaimCouponResponse{}
	attempt := func(read readFunc) error {
		return budget.Attempt(func() error {
			return idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
				return s.claimOnce(ctx, tx, read, request, req, answer)
			})
		})
	}
	if err = attempt(readTemplate); errors.Is(err, budget.ErrChanged) {
		// Marketing has changed the template meanwhile; now it waits for us.
		err = attempt(shareTemplate)
	}
	switch {
	case errors.Is(err, budget.ErrExhausted):
		return nil, exhausted()
	case errors.Is(err, errLimit):
		return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonLimitPerBuyer,
			"the buyer has had as many of these coupons as one may")
	case err != nil:
		return nil, err
	}
	return answer, nil
}

// readFunc reads a template: readTemplate, or shareTemplate.
type readFunc func(ctx context.Context, tx pgx.Tx, name string) (*template, error)

func (s *Store) claimOnce(
	ctx context.Context,
	tx pgx.Tx,
	read readFunc,
	request idempotency.Request,
	req *couponv1.ClaimCouponRequest,
	answer *couponv1.ClaimCouponResponse,
) error {
	now := database.Stamp(s.now())
	t, err := read(ctx, tx, req.GetTemplate())
	if err != nil {
		return err
	}
	if !t.enabled || !t.claimableAt(now) {
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonNotClaimable, "buyers cannot claim this coupon now")
	}
	// Most of those who want a coupon that everybody wants come too late: they cost
	// one read and no lock.
	level, err := budget.Levels(ctx, tx, []string{t.owner()})
	if err != nil {
		return err
	}
	if l := level[t.owner()]; l.Spent >= l.Capacity {
		return budget.ErrExhausted
	}
	begun, err := s.begin(t, req.GetBuyerId(), now, Claim, actorBuyer, "")
	if err != nil {
		return err
	}
	var b pgx.Batch
	answer.Coupon = begun.coupon.proto(now)
	if err := request.Claim(&b, now, answer); err != nil {
		return err
	}
	id := begun.coupon.ID
	if err := issue(ctx, tx, &b, t, begun, id[len(id)-1]); err != nil {
		return err
	}
	if t.envelope() == nil {
		return nil
	}
	// Which part it is was not known before.
	answer.Coupon = begun.coupon.proto(now)
	var again pgx.Batch
	if err := request.Replace(&again, answer); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &again).Close()
}

func exhausted() error {
	return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonCouponExhausted, "there are no more of these coupons")
}

// claimableAt tells whether the template is for buyers to claim, and at this time: while the coupon
// would still be of use.
func (t *template) claimableAt(now time.Time) bool {
	if !t.source.GetClaimable() {
		return false
	}
	if from := t.source.GetClaimFrom(); from != nil && now.Before(from.AsTime()) {
		return false
	}
	if until := t.source.GetClaimUntil(); until != nil && !now.Before(until.AsTime()) {
		return false
	}
	_, until := t.validity(now)
	return now.Before(until)
}

// validity of a coupon that is claimed now.
func (t *template) validity(now time.Time) (from, until time.Time) {
	v := t.source.GetValidity()
	from = now
	if v.GetFrom() != nil && v.GetFrom().AsTime().After(from) {
		from = database.Stamp(v.GetFrom().AsTime())
	}
	if v.GetDays() > 0 {
		until = from.Add(time.Duration(v.GetDays()) * day)
	}
	if v.GetUntil() != nil && (until.IsZero() || v.GetUntil().AsTime().Before(until)) {
		until = database.Stamp(v.GetUntil().AsTime())
	}
	return from, until
}

// begin makes a new coupon, in memory; of a red envelope, without its part.
func (s *Store) begin(t *template, buyerID string, now time.Time, event Event, actor, reason string) (change, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return change{}, fmt.Errorf("making a coupon's id: %w", err)
	}
	c := &Coupon{ID: id, BuyerID: buyerID, ClaimedAt: now, Terms: termsOf(t.source, t.revision)}
	c.Amount = c.Terms.Amount
	c.ValidFrom, c.ValidUntil = t.validity(now)
	return c.step(event, now, actor, reason, uuid.Nil)
}

// issue writes a new coupon: it counts it for the buyer, takes it from the budget's wanted bucket
// and begins its history, after what the batch holds already. The error is errLimit or one of
// budget.Take's, after which the transaction, or its savepoint, has to be rolled back.
//
// The budget comes last, because many buyers want it at once. Only a red envelope's part has to be
// taken before its coupon is written.
func issue(ctx context.Context, tx pgx.Tx, b *pgx.Batch, t *template, begun change, wanted uint8) error {
	c := begun.coupon
	queueCount(b, t, c.BuyerID)
	if e := t.envelope(); e != nil {
		if err := send(ctx, tx, b); err != nil {
			return err
		}
		unit, err := budget.Take(ctx, tx, t.owner(), t.revision, wanted)
		if err != nil {
			return err
		}
		c.Amount = e.part(unit.Number)
		var rest pgx.Batch
		queueCoupon(&rest, c, &unit.Number)
		queueHistory(&rest, []change{begun})
		return send(ctx, tx, &rest)
	}
	queueCoupon(b, c, nil)
	queueHistory(b, []change{begun})
	var taken bool
	budget.QueueTake(b, t.owner(), t.revision, wanted, &taken)
	if err := send(ctx, tx, b); err != nil || taken {
		return err
	}
	return budget.Explain(ctx, tx, t.owner(), t.revision)
}

func send(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("issuing a coupon: %w", err)
	}
	return nil
}
