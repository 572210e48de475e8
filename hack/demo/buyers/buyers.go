// Package buyers is the demo's crowd: it comes to a sale through the public API, keeps book of every
// answer, finds every acknowledged order in the database afterwards and pays it. It knows nothing of
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
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

// Run comes to the sale, verifies and pays. It writes a progress line a second and a result line at
// the end; broken promises are in the result, not an error.
func Run(ctx context.Context, p plan.Plan, out io.Writer) error {
	l := newLedger(p)
	standard := shop.NewStandard(p.StandardURL, askers)
	lines := json.NewEncoder(out)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress := l.progress()
				_ = lines.Encode(plan.Line{Progress: &progress}) // The result is what counts.
			case <-stop:
				return
			}
		}
	}()
	if err := l.login(ctx); err != nil {
		return err
	}
	told, err := notified(ctx, p.IssuerURL)
	if err != nil {
		return err
	}
	if !wait(ctx, time.Until(p.Start.Add(-4*time.Second))) {
		return ctx.Err()
	}
	began := time.Now()
	apps := shop.NewFlash(p.FlashURL, p.InFlight)
	l.rush(ctx, apps)
	l.enter("verify", time.Since(began))
	began = time.Now()
	l.verify(ctx, apps[0], standard)
	l.enter("pay", time.Since(began))
	began = time.Now()
	l.pay(ctx, standard)
	l.enter("after", time.Since(began))
	began = time.Now()
	l.after(ctx, standard, told)
	l.enter("done", time.Since(began))
	close(stop)
	<-stopped
	if err := lines.Encode(plan.Line{Result: &l.result}); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return ctx.Err()
}

// login gets everybody a token, ahead of the start.
func (l *ledger) login(ctx context.Context) error {
	visits := crowd(l.plan)
	claims := make([]issuer.Claim, len(visits))
	for i, v := range visits {
		claims[i] = issuer.Claim{Subject: v.buyerID, Roles: []string{"buyer"}}
	}
	tokens, err := issuer.Ask(ctx, l.plan.IssuerURL, claims)
	if err != nil {
		return err
	}
	l.tokens = make(map[string]string, len(tokens))
	for i, token := range tokens {
		l.tokens[claims[i].Subject] = token
	}
	return nil
}

// as makes calls with the context come from the buyer.
func (l *ledger) as(ctx context.Context, buyerID string) context.Context {
	return issuer.As(ctx, l.tokens[buyerID])
}
