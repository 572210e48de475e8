package buyers

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
	"github.com/orderd-dev/orderd/orderd/sim/buyers"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

const (
	// askers look at orders, or pay them, at once.
	askers = 96
	// lookAgain is the delay before asking again for what is not there yet.
	lookAgain = 250 * time.Millisecond
)

// order is an acknowledged order, as the buyer asked for it.
type order = buyers.Order

// run is one run of the demo's crowd: the plan, and what is known so far.
type run struct {
	plan   plan.Plan
	sale   buyers.Sale
	ledger *buyers.Ledger
	// tokens of the buyers, by their ids; not changed after login.
	tokens map[string]string

	// mu guards what follows.
	mu sync.Mutex
	// result has what came after the rush; the ledger has the rest.
	result   plan.Result
	verified int64
	stage    string
}

func newRun(p plan.Plan) *run {
	sale := buyers.Sale{Promotion: p.Promotion, Start: p.Start, End: p.End}
	for _, it := range p.Items {
		sale.Offers = append(sale.Offers, audit.Offer{
			SKU: it.SKU, Price: it.UnitPrice, Limit: it.LimitPerBuyer, Stock: it.Stock,
		})
	}
	return &run{
		plan: p, sale: sale, ledger: buyers.NewLedger(sale), stage: "rush",
		result: plan.Result{PaidBy: map[string]int64{}, Seconds: map[string]float64{}},
	}
}

// visits are everybody who comes.
func (r *run) visits() []buyers.Visit {
	return buyers.Crowd{
		Sale: r.sale, Name: r.plan.Run, Buyers: r.plan.Buyers, Seed: r.plan.Seed,
		Rush: time.Duration(r.plan.RushSeconds) * time.Second,
	}.Visits()
}

// as makes calls with the context come from the buyer.
func (r *run) as(ctx context.Context, buyer string) context.Context {
	return issuer.As(ctx, r.tokens[buyer])
}

// count changes what is counted.
func (r *run) count(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// enter ends the stage before, which took that long.
func (r *run) enter(stage string, took time.Duration) {
	r.count(func() {
		r.result.Seconds[r.stage] = took.Seconds()
		r.stage = stage
	})
}

func (r *run) progress() plan.Progress {
	t := r.ledger.Tally()
	r.mu.Lock()
	defer r.mu.Unlock()
	return plan.Progress{
		Stage: r.stage, Requests: t.Requests, Accepted: t.Accepted, Refused: t.Refusals, Retried: t.Retried,
		InFlight: t.InFlight, Verified: r.verified, Paid: r.result.Paid,
		Rewarded: r.result.Rewarded, Notified: r.result.Notified, Delivered: r.result.Delivered,
	}
}

// results are what the crowd saw, all in all.
func (r *run) results() plan.Result {
	t := r.ledger.Tally()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.result
	out.Requests, out.Accepted, out.Repeated, out.LateFound = t.Requests, t.Accepted, t.Repeated, t.LateFound
	out.Refused, out.Units, out.SoldOut = t.Refused, t.Units, t.SoldOut
	out.FirstAcceptedAt = t.FirstAccepted
	if !t.FirstAnswer.IsZero() {
		out.FirstAcceptedMillis = t.FirstAnswer.Sub(r.plan.Start).Milliseconds()
	}
	out.Broken = append([]string{}, t.Broken...)
	return out
}

// retried calls until the answer is final.
func retried(ctx context.Context, call func(context.Context) error) error {
	return buyers.Retry{Within: buyers.AnswerWithin, Shortest: lookAgain, Longest: lookAgain}.Do(ctx, call)
}

// each runs f on all of them, a few at once.
func each[T any](all []T, f func(T)) {
	var g errgroup.Group
	g.SetLimit(askers)
	for _, one := range all {
		g.Go(func() error {
			f(one)
			return nil
		})
	}
	_ = g.Wait() // f reports for itself.
}
