package promotionevent

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// collectTimeout bounds a scrape, which reads the cache only.
const collectTimeout = 5 * time.Second

// unitsKept is how long after settlement the units of each item are exported: promotions that are over stay
// for months, and each would have four series an item.
const unitsKept = time.Hour

// Collector exports every promotion's phase, readiness and figures as they are in the cache when it
// is scraped, so that a promotion that is gone leaves nothing behind.
type Collector struct {
	reader client.Reader
	clock  func() time.Time
	log    *slog.Logger

	phase, ready, late, violated, seconds, units *prometheus.Desc
}

// NewCollector returns a collector over the reader, which should be a cache.
func NewCollector(reader client.Reader, clock func() time.Time, log *slog.Logger) *Collector {
	promotion := []string{"namespace", "promotion"}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("orderd_promotion_"+name, help, append(promotion[:2:2], labels...), nil)
	}
	return &Collector{
		reader: reader, clock: clock, log: log,
		phase:    desc("phase", "1 for the phase that the promotion is in.", "phase"),
		ready:    desc("ready", "1 if the promotion is ready, 0 if not."),
		late:     desc("late", "1 while the promotion is not ready though its prewarm deadline has passed."),
		violated: desc("invariant_violated", "1 if settlement found that the promotion's stock does not add up."),
		seconds:  desc("seconds_to_start", "Seconds until the promotion starts; negative after."),
		units:    desc("units", "Units of an item: allocated, sold, left or returned.", "sku", "kind"),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.phase, c.ready, c.late, c.violated, c.seconds, c.units} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var list v1alpha1.PromotionEventList
	// They are read and not changed, so the cache's own will do.
	if err := c.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		c.log.Error("collecting promotion metrics", "error", err)
		return
	}
	for i := range list.Items {
		c.collect(ch, &list.Items[i])
	}
}

func (c *Collector) collect(ch chan<- prometheus.Metric, p *v1alpha1.PromotionEvent) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		of := append([]string{p.Namespace, p.Name}, labels...)
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, of...)
	}
	condition := func(d *prometheus.Desc, kind string) {
		value := 0.0
		if meta.IsStatusConditionTrue(p.Status.Conditions, kind) {
			value = 1
		}
		gauge(d, value)
	}
	if p.Status.Phase != "" {
		gauge(c.phase, 1, string(p.Status.Phase))
	}
	condition(c.ready, v1alpha1.ConditionReady)
	condition(c.late, v1alpha1.ConditionLate)
	condition(c.violated, v1alpha1.ConditionInvariantViolated)
	gauge(c.seconds, p.Spec.StartTime.Sub(c.clock()).Seconds())
	if settled := p.Status.SettledTime; !settled.IsZero() && c.clock().Sub(settled.Time) > unitsKept {
		return
	}
	for _, item := range p.Status.Items {
		for kind, n := range map[string]*int64{
			"allocated": item.Allocated, "sold": item.Sold, "left": item.Left, "returned": item.Returned,
		} {
			if n != nil {
				gauge(c.units, float64(*n), item.SKU, kind)
			}
		}
	}
}
