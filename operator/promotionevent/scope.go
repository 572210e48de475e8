package promotionevent

import (
	"time"

	"k8s.io/utils/ptr"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// scope is what one reconcile knows of one PromotionEvent.
type scope struct {
	promotion *v1alpha1.PromotionEvent
	// cluster is nil if it is not there, or not migrated.
	cluster *v1alpha1.OrderCluster
	// sale is the promotion's sale as the spec has it now.
	sale   *sale.Sale
	before v1alpha1.PromotionEventStatus
	now    time.Time
	report *report.Report
	// next is when to look again at the latest; zero: when something changes.
	next time.Duration
	// finished: nothing is left of a deleted promotion but its finalizer.
	finished bool
	// toppedUp says that the sale has all the stock that the spec asks for, as far as this
	// reconcile has asked.
	toppedUp bool
	// stalled says what a person has to act on; empty: nothing.
	stalledReason, stalledMessage string
}

func newScope(p *v1alpha1.PromotionEvent, now time.Time) *scope {
	return &scope{promotion: p, before: *p.Status.DeepCopy(), now: now, report: report.New(p, kind, now)}
}

// within asks to be reconciled again in d at the latest.
func (s *scope) within(d time.Duration) {
	if s.next == 0 || d < s.next {
		s.next = max(d, time.Millisecond)
	}
}

// at asks to be reconciled again at t, unless that has passed.
func (s *scope) at(t time.Time) {
	if t.After(s.now) {
		s.within(t.Sub(s.now))
	}
}

func (s *scope) started() bool { return !s.now.Before(s.promotion.Spec.StartTime.Time) }

// ended reports whether the sale is over: its end has passed, or it was deleted.
func (s *scope) ended() bool { return !s.now.Before(s.promotion.End()) }

func (s *scope) deleted() bool { return !s.promotion.DeletionTimestamp.IsZero() }

func (s *scope) settled() bool { return s.report.Is(v1alpha1.ConditionSettled) }

func (s *scope) stall(reason, message string) { s.stalledReason, s.stalledMessage = reason, message }

// uid names the promotion in the database and in the log.
func (s *scope) uid() string { return string(s.promotion.UID) }

// definition is what the pods are told of the promotion, but for its top-ups and that it is closed.
func (s *scope) definition() *flashv1.Promotion {
	p := s.promotion
	d := &flashv1.Promotion{
		Uid:              s.uid(),
		Name:             p.Name,
		StartUnixMs:      p.Spec.StartTime.UnixMilli(),
		EndUnixMs:        p.End().UnixMilli(),
		Paused:           p.IsPaused(),
		Partitions:       p.Status.Partitions,
		Streams:          sale.StreamNames(s.uid(), p.StreamCount()),
		Currency:         p.Spec.Currency,
		PaymentTimeoutMs: p.PaymentTimeout().Milliseconds(),
		Open:             true,

		AdmissionRequired: p.AdmissionRequired(), AdmissionEndUnixMs: p.AdmissionEnd().UnixMilli(),
	}
	streams := s.streams()
	for _, item := range p.Spec.Items {
		d.Items = append(d.Items, &flashv1.PromotedItem{
			Sku: item.SKU, UnitPrice: item.UnitPrice(), LimitPerBuyer: item.Limit(), Off: item.IsOff(),
			Stream: ptr.Deref(streams[item.SKU], 0),
		})
	}
	return d
}

// targets is the stock that the spec asks for.
func (s *scope) targets() []sale.Quantity {
	var items []sale.Quantity
	for _, item := range s.promotion.Spec.Items {
		items = append(items, sale.Quantity{SKU: item.SKU, Quantity: item.Stock})
	}
	return items
}

// streams is the index of the stream of each SKU, as plan fixed it.
func (s *scope) streams() map[string]*int32 {
	streams := make(map[string]*int32, len(s.promotion.Status.Items))
	for _, item := range s.promotion.Status.Items {
		streams[item.SKU] = item.Stream
	}
	return streams
}
