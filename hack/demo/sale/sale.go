// Package sale runs one sale from the outside: it applies the sample PromotionEvent, sends the
// buyers, watches, waits until all is settled and returns what was seen.
package sale

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/report"
)

const (
	seedWithin   = 2 * time.Minute
	settleWithin = 2 * time.Minute
)

// Options say which sale and how large a crowd.
type Options struct {
	Kube kube.Kube
	// Cluster is Ready.
	Cluster *v1alpha1.OrderCluster
	// Promotion is the sample; its start and end are replaced.
	Promotion *unstructured.Unstructured
	// Image of the buyers.
	Image string
	// Run names this run.
	Run string
	// StartIn is how far ahead the start is when the promotion is applied; Length is how long the
	// sale lasts.
	StartIn, Length time.Duration
	// Buyers, and the most requests in flight at once.
	Buyers, InFlight int
	// RushSeconds after the start in which most buyers come.
	RushSeconds int
	// Seed of the crowd.
	Seed uint64
	// Live, if set, is called at the start, beside the rush; its error fails the run.
	Live func(ctx context.Context, p plan.Plan) error
	Log  *slog.Logger
	// Progress is written to for people.
	Progress io.Writer
}

// Run runs the sale. A broken promise is in the facts; an error means that they are not known.
func Run(ctx context.Context, o Options) (report.Facts, error) {
	promo, p, err := o.prepare(ctx)
	if err != nil {
		return report.Facts{}, err
	}
	facts := report.Facts{}
	if facts.StockBefore, err = o.stock(ctx, "seed", p); err != nil {
		return report.Facts{}, err
	}
	if p, err = o.announce(ctx, p); err != nil {
		return report.Facts{}, err
	}
	facts.Plan = p
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := watch(ctx, o.Kube, "promotionevent/"+promo.Name)
	if facts.ReadySecondsBeforeStart, err = o.untilReady(ctx, p); err != nil {
		return report.Facts{}, err
	}
	if facts.Result, err = o.rush(ctx, p, w); err != nil {
		return report.Facts{}, err
	}
	settled, at := w.until(ctx, p.End.Add(settleWithin), isSettled)
	facts.Settled, facts.SettleSeconds = at != nil, 0
	if at != nil {
		facts.SettleSeconds = max(0, at.Sub(p.End).Seconds())
	}
	o.Log.Info("settled", "promotion", p.Promotion, "settled", facts.Settled, "conditions",
		kube.Conditions(settled.Status.Conditions))
	facts.Items = items(settled)
	facts.StockAfter, err = o.stock(ctx, "stock", p)
	return facts, err
}

// prepare removes the sale of an earlier run and makes the plan of this one.
func (o Options) prepare(ctx context.Context) (*v1alpha1.PromotionEvent, plan.Plan, error) {
	promo := &v1alpha1.PromotionEvent{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Promotion.Object, promo); err != nil {
		return nil, plan.Plan{}, fmt.Errorf("reading the PromotionEvent: %w", err)
	}
	p := plan.Plan{
		Run: o.Run, Promotion: promo.Name,
		StandardURL: o.Cluster.Status.Endpoint, FlashURL: o.Cluster.Status.FlashEndpoint,
		IssuerURL: o.Cluster.Spec.Auth.Issuer,
		Buyers:    o.Buyers, InFlight: o.InFlight, RushSeconds: o.RushSeconds, Seed: o.Seed,
		MaterializeSeconds: 90, PaySeconds: 180, AfterSeconds: 120,
		// The pods that only seed want a whole plan, too.
		Start: time.Now(), End: time.Now().Add(o.Length),
	}
	for _, provider := range o.Cluster.Spec.Payments {
		if url := provider.Settings["baseURL"]; url != "" {
			p.ProvidersURL = url
		}
	}
	for _, it := range promo.Spec.Items {
		p.Items = append(p.Items, plan.Item{
			SKU: it.SKU, Title: it.SKU, UnitPrice: it.UnitPrice(), Currency: promo.Spec.Currency,
			Stock: it.Stock, LimitPerBuyer: it.Limit(),
		})
	}
	_, err := o.Kube.Run(ctx, "delete", "promotionevent/"+promo.Name, "--ignore-not-found", "--timeout=3m")
	return promo, p, err
}

// stock runs the pod that fills or prints the stock.
func (o Options) stock(ctx context.Context, command string, p plan.Plan) (stock []plan.Stock, err error) {
	o.Log.Info("asking for the stock", "command", command)
	err = o.Kube.RunPod(ctx, "orderd-demo-"+command, o.Image, command, p, seedWithin, func(line plan.Line) {
		if line.Stock != nil {
			stock = line.Stock
		}
	})
	if err == nil && len(stock) != len(p.Items) {
		err = fmt.Errorf("%s told the stock of %d SKUs, want %d", command, len(stock), len(p.Items))
	}
	return stock, err
}

// announce applies the PromotionEvent with its start and end.
func (o Options) announce(ctx context.Context, p plan.Plan) (plan.Plan, error) {
	p.Start = time.Now().Add(o.StartIn).Truncate(time.Second).UTC()
	p.End = p.Start.Add(o.Length).Truncate(time.Second)
	promo := o.Promotion.DeepCopy()
	for field, at := range map[string]time.Time{"startTime": p.Start, "endTime": p.End} {
		if err := unstructured.SetNestedField(promo.Object, at.Format(time.RFC3339), "spec", field); err != nil {
			return p, fmt.Errorf("setting %s: %w", field, err)
		}
	}
	manifest, err := kube.Manifest(promo.Object)
	if err != nil {
		return p, err
	}
	o.Log.Info("kubectl apply", "promotion", p.Promotion, "start", p.Start, "end", p.End)
	return p, o.Kube.Apply(ctx, manifest)
}

// untilReady returns how many seconds before the start the promotion was Ready.
func (o Options) untilReady(ctx context.Context, p plan.Plan) (float64, error) {
	name := "promotionevent/" + p.Promotion
	if err := o.Kube.Wait(ctx, name, "condition=Ready",
		time.Until(p.Start.Add(10*time.Second)).Truncate(time.Second)); err != nil {
		promo := &v1alpha1.PromotionEvent{}
		if gerr := o.Kube.Get(ctx, name, promo); gerr == nil {
			return 0, fmt.Errorf("the promotion is not Ready: %s: %w", kube.Conditions(promo.Status.Conditions), err)
		}
		return 0, err
	}
	before := time.Until(p.Start)
	o.Log.Info("the promotion is Ready", "beforeStart", before.Round(100*time.Millisecond))
	return before.Seconds(), nil
}

func isSettled(p *v1alpha1.PromotionEvent) bool { return p.Status.Phase == v1alpha1.PhaseSettled }

func items(p *v1alpha1.PromotionEvent) []report.Item {
	out := make([]report.Item, 0, len(p.Status.Items))
	for _, it := range p.Status.Items {
		i := report.Item{SKU: it.SKU}
		for to, from := range map[*int64]*int64{&i.Stock: it.Allocated, &i.Sold: it.Sold, &i.Left: it.Returned} {
			if from != nil {
				*to = *from
			}
		}
		out = append(out, i)
	}
	return out
}
