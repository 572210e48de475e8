// Package buyers is what the demo's crowd does: it comes to a sale through the public API, finds
// every acknowledged order in the database afterwards, pays it, and waits for what follows. Who
// comes, how they ask and what they keep book of is orderd/sim/buyers'. It knows nothing of
// Kubernetes and runs in a pod.
package buyers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/shop"
	"github.com/orderd-dev/orderd/orderd/sim/buyers"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

// early is how long before the start the first buyers come.
const early = 4 * time.Second

// Run comes to the sale, verifies and pays. It writes a progress line a second and a result line at
// the end; broken promises are in the result, not an error.
func Run(ctx context.Context, p plan.Plan, out io.Writer) error {
	r := newRun(p)
	lines := json.NewEncoder(out)
	told := r.tell(lines)
	visits := r.visits()
	if err := r.login(ctx, visits); err != nil {
		return err
	}
	if err := r.visit(ctx, visits); err != nil {
		return err
	}
	told()
	result := r.results()
	if err := lines.Encode(plan.Line{Result: &result}); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return ctx.Err()
}

// tell the progress once a second, until the function that it returns is called.
func (r *run) tell(lines *json.Encoder) (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress := r.progress()
				_ = lines.Encode(plan.Line{Progress: &progress}) // The result is what counts.
			case <-stopping:
				return
			}
		}
	}()
	return func() {
		close(stopping)
		<-stopped
	}
}

// visit the sale and do what comes after it, one stage after the other.
func (r *run) visit(ctx context.Context, visits []buyers.Visit) error {
	standard := shop.NewStandard(r.plan.StandardURL, askers)
	told, err := notified(ctx, r.plan.IssuerURL)
	if err != nil {
		return err
	}
	if !buyers.Wait(ctx, time.Until(r.plan.Start.Add(-early))) {
		return ctx.Err()
	}
	apps := shop.NewFlash(r.plan.FlashURL, r.plan.InFlight)
	rush := buyers.Rush{Sale: r.sale, Ledger: r.ledger, InFlight: r.plan.InFlight, As: r.as}
	for _, stage := range []struct {
		next string
		do   func()
	}{
		{"verify", func() { rush.Run(ctx, visits, apps) }},
		{"pay", func() { r.verify(ctx, apps[0], standard) }},
		{"after", func() { r.pay(ctx, standard) }},
		{"done", func() { r.after(ctx, standard, told) }},
	} {
		began := time.Now()
		stage.do()
		r.enter(stage.next, time.Since(began))
	}
	return nil
}

// login gets everybody a token, ahead of the start.
func (r *run) login(ctx context.Context, visits []buyers.Visit) error {
	claims := make([]issuer.Claim, len(visits))
	for i, v := range visits {
		claims[i] = issuer.Claim{Subject: v.Buyer, Roles: []string{"buyer"}}
	}
	tokens, err := issuer.Ask(ctx, r.plan.IssuerURL, claims)
	if err != nil {
		return err
	}
	r.tokens = make(map[string]string, len(tokens))
	for i, token := range tokens {
		r.tokens[claims[i].Subject] = token
	}
	return nil
}
