package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

// verdict on a seed.
type verdict struct {
	seed     uint64
	plan     *plan
	took     time.Duration
	tally    tally
	violated []audit.Violation
	calls    []audit.Call
	notes    []string
}

// tally of what happened.
type tally struct {
	placed, accepted, refused, unknown, orders, paid, cancelled, faults int
	// reasons of what was not accepted.
	reasons map[string]int
}

func (t *tally) add(o tally) {
	t.placed, t.accepted = t.placed+o.placed, t.accepted+o.accepted
	t.refused, t.unknown = t.refused+o.refused, t.unknown+o.unknown
	if t.reasons == nil {
		t.reasons = map[string]int{}
	}
	for reason, n := range o.reasons {
		t.reasons[reason] += n
	}
	t.orders, t.paid, t.cancelled, t.faults = t.orders+o.orders, t.paid+o.paid, t.cancelled+o.cancelled, t.faults+o.faults
}

// String is short.
func (t tally) String() string {
	reasons := make([]string, 0, len(t.reasons))
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", t.reasons[reason], reason))
	}
	return fmt.Sprintf("%d asked: %d accepted, %d refused, %d unknown (%s); %d orders, %d paid, %d cancelled; %d faults",
		t.placed, t.accepted, t.refused, t.unknown, strings.Join(reasons, ", "), t.orders, t.paid, t.cancelled, t.faults)
}

// String is the seed's line, and one for each violation, up to five.
func (v *verdict) String() string {
	word := "ok"
	if len(v.violated) > 0 {
		word = "FAILED"
	}
	faults := make([]string, len(v.plan.faults))
	for i, f := range v.plan.faults {
		faults[i] = f.String()
	}
	s := fmt.Sprintf("seed %d %s %s: %s; [%s]; %s", v.seed, word, v.took.Round(100*time.Millisecond), v.plan,
		strings.Join(faults, " "), v.tally)
	for i, x := range v.violated {
		if i == 5 {
			return s + fmt.Sprintf("\n  … and %d more", len(v.violated)-i)
		}
		s += "\n  " + x.String()
	}
	return s
}

func (v *verdict) details() string {
	var s strings.Builder
	for _, x := range v.violated {
		fmt.Fprintln(&s, x)
	}
	for _, n := range v.notes {
		fmt.Fprintln(&s, n)
	}
	return s.String()
}

// seed holds one sale.
func (w *world) seed(ctx context.Context, seed uint64, verbose bool) *verdict {
	begun := time.Now()
	w.log.reset()
	s := &trial{w: w, plan: newPlan(seed), verbose: verbose, tokens: map[string][]string{}}
	v := &verdict{seed: seed, plan: s.plan}
	finals, err := s.hold(ctx)
	if err != nil {
		v.violated = append(v.violated, audit.Violation{Law: "stuck", What: err.Error()})
	} else {
		v.violated = append(audit.Check(s.facts, s.calls, finals), s.linear(finals)...)
	}
	v.calls, v.notes = s.calls, s.notes
	v.tally = s.tally(finals)
	if len(v.violated) == 0 && s.promo != nil {
		if err := s.operator().Remove(ctx); err != nil {
			v.violated = append(v.violated, audit.Violation{Law: "stuck", What: err.Error()})
		}
	}
	v.took = time.Since(begun)
	return v
}

// hold the sale: preparation, buyers and faults, settlement.
func (s *trial) hold(ctx context.Context) (audit.Finals, error) {
	if err := errors.Join(s.w.heal(ctx), s.w.ready(ctx)); err != nil {
		return audit.Finals{}, err
	}
	if err := s.prepare(ctx); err != nil {
		return audit.Finals{}, err
	}
	b := &buyers{trial: s}
	failing := make(chan struct{})
	go func() {
		defer close(failing)
		s.inject(ctx)
	}()
	leading := make(chan struct{})
	go func() {
		defer close(leading)
		s.pullLevers(ctx)
	}()
	b.crowd(ctx)
	b.after.Wait()
	<-failing
	<-leading
	s.note("the sale is over")
	if err := s.w.heal(ctx); err != nil {
		return audit.Finals{}, fmt.Errorf("healing: %w", err)
	}
	settled := make(chan error, 1)
	var totals []sale.Total
	go func() {
		var err error
		totals, err = s.operator().Settle(ctx)
		settled <- err
	}()
	err := errors.Join(b.resolve(ctx), <-settled)
	s.note("settled: %v", err)
	if err != nil {
		return audit.Finals{}, err
	}
	if err := s.quiet(ctx); err != nil {
		return audit.Finals{}, err
	}
	s.note("quiet")
	return s.finals(ctx, totals)
}

// quiet waits until nothing is to be done any more.
func (s *trial) quiet(ctx context.Context) error {
	const busy = `SELECT 'order ' || order_id::text || ' is ' || state FROM orders WHERE promotion_uid = $1 AND state NOT IN ('PAID', 'CANCELLED', 'SHIPPED', 'DELIVERED', 'COMPLETED')
		UNION ALL SELECT 'release of ' || order_id::text || ' is pending' FROM flash_releases WHERE promotion_uid = $1 AND outcome = 'PENDING'
		UNION ALL SELECT 'refund ' || r.refund_id::text || ' is ' || r.state FROM refunds r JOIN orders o USING (order_id) WHERE o.promotion_uid = $1 AND r.state <> 'SUCCEEDED'`
	return until(ctx, patience, "all is quiet", func(ctx context.Context) error {
		found, err := rows[struct{ What string }](ctx, s.w.db.pool, busy, s.promo.GetUid())
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("%v", found[:min(3, len(found))])
		}
		return err
	})
}

// finals reads what there is at the end: until two readings agree, because a payment may arrive,
// late, between orders and stock.
func (s *trial) finals(ctx context.Context, totals []sale.Total) (audit.Finals, error) {
	before, err := s.read(ctx, totals)
	if err != nil {
		return before, err
	}
	err = until(ctx, patience, "the database rests", func(ctx context.Context) error {
		after, err := s.read(ctx, totals)
		if err == nil && !reflect.DeepEqual(before, after) {
			err = errors.New("it changed between two readings")
		}
		before = after
		return err
	})
	return before, err
}

// read orders, settlement and stock, one after the other.
func (s *trial) read(ctx context.Context, totals []sale.Total) (audit.Finals, error) {
	var f audit.Finals
	type line struct {
		ID, Buyer, State string
		Total            int64
		Cancelled        *time.Time
		SKU              string
		Quantity, Price  int64
		Paid             int64
	}
	lines, err := rows[line](ctx, s.w.db.pool,
		`SELECT o.order_id::text, o.buyer_id, o.state, o.total, o.cancelled_at, l.sku, l.quantity, l.unit_price,
		(SELECT coalesce(sum(amount), 0) FROM payments p WHERE p.order_id = o.order_id AND p.state = 'SUCCEEDED')::bigint
			- (SELECT coalesce(sum(amount), 0) FROM refunds r WHERE r.order_id = o.order_id AND r.state = 'SUCCEEDED')::bigint
		FROM orders o JOIN order_lines l USING (order_id) WHERE o.promotion_uid = $1 ORDER BY o.order_id, l.line`,
		s.promo.GetUid())
	if err != nil {
		return f, err
	}
	for _, l := range lines {
		if n := len(f.Rows); n == 0 || f.Rows[n-1].OrderID != l.ID {
			row := audit.Row{OrderID: l.ID, Buyer: l.Buyer, State: l.State, Total: l.Total, Paid: l.Paid}
			if l.Cancelled != nil {
				row.CancelledAt = *l.Cancelled
			}
			f.Rows = append(f.Rows, row)
		}
		last := &f.Rows[len(f.Rows)-1]
		last.Lines = append(last.Lines, audit.Line{Item: audit.Item{SKU: l.SKU, Quantity: l.Quantity}, Price: l.Price})
	}
	returned, err := stock.Returned(ctx, s.w.db.pool, s.promo.GetUid())
	if err != nil {
		return f, err
	}
	for _, t := range totals {
		levels, err := stock.Get(ctx, s.w.db.pool, t.SKU)
		if err != nil {
			return f, err
		}
		r := audit.Result{
			SKU:       t.SKU,
			Allocated: t.Allocated,
			ToppedUp:  t.ToppedUp,
			Sold:      t.Sold,
			Available: levels.Available,
			Reserved:  levels.Reserved,
			Deducted:  levels.Deducted,
		}
		if i := slices.IndexFunc(returned, func(q stock.Quantity) bool { return q.SKU == t.SKU }); i >= 0 {
			r.Returned = returned[i].Quantity
		}
		f.Results = append(f.Results, r)
	}
	return f, nil
}

func (s *trial) tally(f audit.Finals) tally {
	t := tally{orders: len(f.Rows), faults: len(s.plan.faults), reasons: map[string]int{}}
	for _, c := range s.calls {
		if c.Kind != audit.Place {
			continue
		}
		t.placed++
		if c.Outcome == audit.Refused {
			t.reasons[c.Reason]++
		}
		switch c.Outcome {
		case audit.Accepted:
			t.accepted++
		case audit.Refused:
			t.refused++
		case audit.Unknown:
			t.unknown++
		}
	}
	for _, r := range f.Rows {
		switch r.State {
		case "PAID":
			t.paid++
		case "CANCELLED":
			t.cancelled++
		}
	}
	return t
}
