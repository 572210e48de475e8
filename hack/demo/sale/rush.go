package sale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/plan"
)

// rush sends the buyers and shows what they do, until they have verified and paid.
func (o Options) rush(ctx context.Context, p plan.Plan, w *watcher) (plan.Result, error) {
	limit := time.Until(p.End) + time.Duration(p.MaterializeSeconds+p.PaySeconds+p.AfterSeconds+60)*time.Second
	var result *plan.Result
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return o.Kube.RunPod(ctx, "orderd-demo-buyers", o.Image, "buyers", p, limit, func(line plan.Line) {
			if line.Progress != nil {
				o.show(p, *line.Progress, w.last())
			}
			if line.Result != nil {
				result = line.Result
			}
		})
	})
	if o.Live != nil {
		g.Go(func() error {
			select {
			case <-time.After(time.Until(p.Start)):
				return o.Live(ctx, p)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	if err := g.Wait(); err != nil {
		return plan.Result{}, err
	}
	if result == nil {
		return plan.Result{}, errors.New("the buyers ended without a result")
	}
	return *result, nil
}

// show prints what buyers did beside what `kubectl get promo` says.
func (o Options) show(p plan.Plan, pr plan.Progress, promo *v1alpha1.PromotionEvent) {
	at := time.Since(p.Start).Round(time.Second)
	// The wait for the start is shown every ten seconds, what follows every second.
	if at < -5*time.Second && at%(10*time.Second) != 0 {
		return
	}
	phase, sold, left := promo.Status.Phase, number(promo.Status.Sold), number(promo.Status.Left)
	line := fmt.Sprintf("%4s  %-6s requests %6d  accepted %5d  refused %6d", at, pr.Stage, pr.Requests, pr.Accepted,
		pr.Refused)
	if pr.Stage != "rush" {
		line += fmt.Sprintf("  in database %5d  paid %5d", pr.Verified, pr.Paid)
	}
	if pr.Stage == "after" {
		line += fmt.Sprintf("  rewarded %5d  notified %5d  delivered %4d", pr.Rewarded, pr.Notified, pr.Delivered)
	}
	fmt.Fprintf(o.Progress, "%s  | promo %s: %s, sold %s, left %s\n", line, p.Promotion, phase, sold, left)
}

func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// watcher has the promotion as the API server last said.
type watcher struct {
	mu      sync.Mutex
	promo   *v1alpha1.PromotionEvent
	at      time.Time
	changed chan struct{}
}

func watch(ctx context.Context, k kube.Kube, name string) *watcher {
	w := &watcher{promo: &v1alpha1.PromotionEvent{}, changed: make(chan struct{})}
	go k.Watch(ctx, name, func(raw json.RawMessage) {
		promo := &v1alpha1.PromotionEvent{}
		if json.Unmarshal(raw, promo) != nil {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		// The first moment of settlement counts, not the latest change after it.
		if !isSettled(w.promo) || !isSettled(promo) {
			w.at = time.Now()
		}
		w.promo = promo
		close(w.changed)
		w.changed = make(chan struct{})
	})
	return w
}

func (w *watcher) last() *v1alpha1.PromotionEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.promo
}

// until waits for the promotion to be as wanted and returns when it was; nil if it is not by the
// deadline.
func (w *watcher) until(ctx context.Context, deadline time.Time,
	wanted func(*v1alpha1.PromotionEvent) bool) (*v1alpha1.PromotionEvent, *time.Time) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		w.mu.Lock()
		promo, at, changed := w.promo, w.at, w.changed
		w.mu.Unlock()
		if wanted(promo) {
			return promo, &at
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return promo, nil
		}
	}
}
