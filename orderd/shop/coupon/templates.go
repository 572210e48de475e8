package coupon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

// seedSize in bytes: nobody guesses a red envelope's parts.
const seedSize = 32

// template is a template as it stands, with its newest terms.
type template struct {
	name      string
	revision  int64
	enabled   bool
	createdAt time.Time
	source    *couponv1.CouponTemplate
	seed      []byte
}

// owner is the template's name among budgets.
func (t *template) owner() string { return "coupon:" + t.name }

// envelope is nil unless the template is of red envelopes.
func (t *template) envelope() *envelope {
	e := t.source.GetRedEnvelope()
	if e == nil {
		return nil
	}
	return &envelope{seed: t.seed, pool: e.GetPool(), parts: e.GetParts()}
}

func (t *template) proto(l budget.Level) *couponv1.CouponTemplateStatus {
	return &couponv1.CouponTemplateStatus{
		Template: t.source,
		Revision: t.revision,
		On:       t.enabled,
		Capacity: l.Capacity,
		Spent:    l.Spent,
	}
}

// capacityOf is how many coupons a template's budget is enough for, or an error if for none.
func capacityOf(t *couponv1.CouponTemplate) (int64, error) {
	if e := t.GetRedEnvelope(); e != nil {
		return e.GetParts(), nil
	}
	capacity := int64(math.MaxInt64)
	if n := t.GetBudget().GetCoupons(); n > 0 {
		capacity = n
	}
	if money := t.GetBudget().GetMoney(); money > 0 {
		// Only one of them is set, and validation has seen to it that it is.
		most := max(t.GetFixed().GetAmount(), t.GetPercent().GetCap(), t.GetFreeFreight().GetCap())
		capacity = min(capacity, money/most)
	}
	if capacity == 0 {
		return 0, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonBudgetTooSmall,
			"the budget's money is less than one coupon may take off", "field", "template.budget.money")
	}
	return capacity, nil
}

// upsert creates a template or gives it new terms.
func (s *Store) upsert(
	ctx context.Context, req *couponv1.UpsertCouponTemplateRequest,
) (*couponv1.UpsertCouponTemplateResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	capacity, err := capacityOf(req.GetTemplate())
	if err != nil {
		return nil, err
	}
	now := database.Stamp(s.now())
	return idempotency.Once(ctx, s.pool, request, now,
		func(tx *database.Tx) (*couponv1.UpsertCouponTemplateResponse, error) {
			t, err := s.renew(ctx, tx, req.GetTemplate(), now)
			if err != nil {
				return nil, err
			}
			level, err := budget.Set(ctx, tx, t.owner(), t.revision, capacity, t.enabled)
			var spent *budget.SpentError
			if errors.As(err, &spent) {
				return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonBudgetSpent,
					"more is spent than the budget would be", "spent", strconv.FormatInt(spent.Spent, 10))
			}
			if err != nil {
				return nil, err
			}
			return &couponv1.UpsertCouponTemplateResponse{Template: t.proto(level)}, nil
		})
}

// renew writes the template's row and new terms, and keeps the row locked. The same terms
// again change nothing.
func (s *Store) renew(
	ctx context.Context, tx pgx.Tx, source *couponv1.CouponTemplate, now time.Time,
) (*template, error) {
	if err := insertTemplate(ctx, tx, source.GetName(), now); err != nil {
		return nil, err
	}
	t, err := lockTemplate(ctx, tx, source.GetName())
	if err != nil {
		return nil, err
	}
	switch {
	case t.source == nil:
		t.seed = []byte{}
		if source.GetRedEnvelope() != nil {
			t.seed = make([]byte, seedSize)
			if _, err := io.ReadFull(s.random, t.seed); err != nil {
				return nil, fmt.Errorf("making a red envelope's seed: %w", err)
			}
		}
	case proto.Equal(t.source, source):
		return t, nil
	default:
		if field := changedValue(t.source, source); field != "" {
			return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonTemplateValueFixed,
				"what a template's coupons are worth does not change; make another template", "field", field)
		}
	}
	t.source = source
	t.revision++
	return t, writeTerms(ctx, tx, t, now)
}

// changedValue names the field of what a coupon is worth that differs; empty if none does.
func changedValue(before, after *couponv1.CouponTemplate) string {
	worth := func(t *couponv1.CouponTemplate) *couponv1.CouponTemplate {
		return &couponv1.CouponTemplate{Benefit: t.GetBenefit()}
	}
	switch {
	case before.GetCurrency() != after.GetCurrency():
		return "template.currency"
	case !proto.Equal(worth(before), worth(after)):
		return "template.benefit"
	}
	return ""
}

// switchTo switches a template on or off. Once it is off, no transaction takes from its budget:
// those that were about to have committed, or meet the budget as it is now.
func (s *Store) switchTo(
	ctx context.Context, req *couponv1.SwitchCouponTemplateRequest,
) (*couponv1.SwitchCouponTemplateResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	now := database.Stamp(s.now())
	return idempotency.Once(ctx, s.pool, request, now,
		func(tx *database.Tx) (*couponv1.SwitchCouponTemplateResponse, error) {
			t, err := lockTemplate(ctx, tx, req.GetName())
			if err != nil {
				return nil, err
			}
			t.enabled = req.GetOn()
			capacity, err := capacityOf(t.source)
			if err != nil {
				return nil, err
			}
			level, err := budget.Set(ctx, tx, t.owner(), t.revision, capacity, t.enabled)
			if err != nil {
				return nil, err
			}
			if err := writeEnabled(ctx, tx, t, now); err != nil {
				return nil, err
			}
			return &couponv1.SwitchCouponTemplateResponse{Template: t.proto(level)}, nil
		})
}

// statuses reads up to limit templates behind a name, by name, with their budgets.
func (s *Store) statuses(ctx context.Context, after string, limit int) ([]*couponv1.CouponTemplateStatus, error) {
	found, err := templatesAfter(ctx, s.pool, after, limit)
	if err != nil {
		return nil, err
	}
	return s.withBudgets(ctx, found)
}

// status reads a template with its budget, or TEMPLATE_NOT_FOUND.
func (s *Store) status(ctx context.Context, name string) (*couponv1.CouponTemplateStatus, error) {
	t, err := templateNamed(ctx, s.pool, name)
	if err != nil {
		return nil, err
	}
	out, err := s.withBudgets(ctx, []*template{t})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func (s *Store) withBudgets(ctx context.Context, found []*template) ([]*couponv1.CouponTemplateStatus, error) {
	if len(found) == 0 {
		return nil, nil
	}
	owners := make([]string, len(found))
	for i, t := range found {
		owners[i] = t.owner()
	}
	levels, err := budget.Levels(ctx, s.pool, owners)
	if err != nil {
		return nil, err
	}
	out := make([]*couponv1.CouponTemplateStatus, len(found))
	for i, t := range found {
		out[i] = t.proto(levels[t.owner()])
	}
	return out, nil
}

func templateNotFound() error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonTemplateNotFound, "there is no such coupon template")
}
