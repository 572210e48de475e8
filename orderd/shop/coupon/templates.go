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
	answer := &couponv1.UpsertCouponTemplateResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		t, err := s.renew(ctx, tx, req.GetTemplate(), now)
		if err != nil {
			return err
		}
		level, err := budget.Set(ctx, tx, t.owner(), t.revision, capacity, t.enabled)
		var spent *budget.SpentError
		if errors.As(err, &spent) {
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonBudgetSpent, "more is spent than the budget would be",
				"spent", strconv.FormatInt(spent.Spent, 10))
		}
		if err != nil {
			return err
		}
		answer.Template = t.proto(level)
		return claimRequest(ctx, tx, request, now, answer)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// claimRequest stores the request with its answer in a batch of its own.
func claimRequest(
	ctx context.Context, tx pgx.Tx, request idempotency.Request, at time.Time, answer proto.Message,
) error {
	var b pgx.Batch
	if err := request.Claim(&b, at, answer); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &b).Close()
}

// renew writes the template's row and new terms, and keeps the row locked. The same terms
// again change nothing.
func (s *Store) renew(
	ctx context.Context, tx pgx.Tx, source *couponv1.CouponTemplate, now time.Time,
) (*template, error) {
	// Revision 0 has no terms: the row is there to be locked.
	_, err := tx.Exec(ctx,
		`INSERT INTO coupon_templates (name, revision, enabled, created_at, updated_at) VALUES ($1, 0, true, $2, $2)
		ON CONFLICT (name) DO NOTHING`, source.GetName(), now)
	if err != nil {
		return nil, fmt.Errorf("creating a template: %w", err)
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

func writeTerms(ctx context.Context, tx pgx.Tx, t *template, now time.Time) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(t.source)
	if err != nil {
		return fmt.Errorf("writing a template's terms: %w", err)
	}
	var b pgx.Batch
	b.Queue("INSERT INTO coupon_terms (template, revision, terms, seed, created_at) VALUES ($1, $2, $3, $4, $5)", t.name,
		t.revision, raw, t.seed, now)
	b.Queue("UPDATE coupon_templates SET revision = $2, updated_at = $3 WHERE name = $1", t.name, t.revision, now)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing a template's terms: %w", err)
	}
	return nil
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
	answer := &couponv1.SwitchCouponTemplateResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		t, err := lockTemplate(ctx, tx, req.GetName())
		if err != nil {
			return err
		}
		t.enabled = req.GetOn()
		capacity, err := capacityOf(t.source)
		if err != nil {
			return err
		}
		level, err := budget.Set(ctx, tx, t.owner(), t.revision, capacity, t.enabled)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE coupon_templates SET enabled = $2, updated_at = $3 WHERE name = $1", t.name,
			t.enabled, now); err != nil {
			return fmt.Errorf("switching a template: %w", err)
		}
		answer.Template = t.proto(level)
		return claimRequest(ctx, tx, request, now, answer)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// lockTemplate reads a template and keeps its row locked. It reads after it has locked: a join in
// the locking statement would meet the new row with the old terms.
func lockTemplate(ctx context.Context, tx pgx.Tx, name string) (*template, error) {
	if _, err := tx.Exec(ctx, "SELECT name FROM coupon_templates WHERE name = $1 FOR UPDATE", name); err != nil {
		return nil, fmt.Errorf("locking a template: %w", err)
	}
	return readTemplate(ctx, tx, name)
}

// holdTemplate is lockTemplate for those who share the row with each other, and keep it from
// changing.
func holdTemplate(ctx context.Context, tx pgx.Tx, name string) (*template, error) {
	if _, err := tx.Exec(ctx, "SELECT name FROM coupon_templates WHERE name = $1 FOR SHARE", name); err != nil {
		return nil, fmt.Errorf("holding a template: %w", err)
	}
	return readTemplate(ctx, tx, name)
}

// readTemplate reads a template, or TEMPLATE_NOT_FOUND.
func readTemplate(ctx context.Context, tx pgx.Tx, name string) (*template, error) {
	found, err := readTemplates(ctx, tx, "WHERE p.name = $1", name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, templateNotFound()
	}
	return found[0], nil
}

// HasTemplate tells whether there is such a template, on or off.
func (s *Store) HasTemplate(ctx context.Context, q database.Querier, name string) (bool, error) {
	found, err := readTemplates(ctx, q, "WHERE p.name = $1", name)
	return len(found) > 0, err
}

// readTemplates reads the templates that a condition finds.
func readTemplates(ctx context.Context, q database.Querier, condition string, args ...any) ([]*template, error) {
	rows, err := q.Query(ctx, `SELECT p.name, p.revision, p.enabled, p.created_at, t.terms, t.seed FROM coupon_templates p
		LEFT JOIN coupon_terms t ON t.template = p.name AND t.revision = p.revision `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*template, error) {
		t := &template{}
		var raw []byte
		if err := row.Scan(&t.name, &t.revision, &t.enabled, &t.createdAt, &raw, &t.seed); err != nil {
			return nil, err
		}
		if t.revision == 0 {
			return t, nil
		}
		t.source = &couponv1.CouponTemplate{}
		return t, proto.Unmarshal(raw, t.source)
	})
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	return found, nil
}

// statuses reads a page of templates by name, with their budgets.
func (s *Store) statuses(ctx context.Context, condition string, args ...any) ([]*couponv1.CouponTemplateStatus, error) {
	found, err := readTemplates(ctx, s.pool, condition, args...)
	if err != nil || len(found) == 0 {
		return nil, err
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
