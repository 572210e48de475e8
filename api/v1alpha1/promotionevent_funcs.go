package v1alpha1

import (
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	defaultPrewarm        = 5 * time.Minute
	defaultKeepLog        = 7 * 24 * time.Hour
	defaultPrepareBefore  = time.Hour
	defaultPaymentTimeout = 15 * time.Minute
)

// GetConditions returns the status conditions, for code that works on either resource.
func (p *PromotionEvent) GetConditions() *[]metav1.Condition { return &p.Status.Conditions }

// HasForeignStatus reports whether the status is about another UID, as after a restore from a backup. It says nothing
// of this one then.
func (p *PromotionEvent) HasForeignStatus() bool {
	return p.Status.UID != string(p.UID) && !reflect.DeepEqual(p.Status, PromotionEventStatus{})
}

// ClearStatus leaves in the status only whom it is about.
func (p *PromotionEvent) ClearStatus() { p.Status = PromotionEventStatus{UID: string(p.UID)} }

// IsPaused reports whether new orders are refused.
func (p *PromotionEvent) IsPaused() bool { return p.Spec.Paused != nil && *p.Spec.Paused }

// SaleUID names the sale in the database and in JetStream: the PromotionEvent's UID, or that of the one it adopted.
func (p *PromotionEvent) SaleUID() string {
	if p.Status.Adopted != "" {
		return p.Status.Adopted
	}
	return string(p.UID)
}

// End is when the sale closes: spec.endTime, or the deletion if that came first.
func (p *PromotionEvent) End() time.Time {
	end := p.Spec.EndTime.Time
	if d := p.DeletionTimestamp; d != nil && d.Time.Before(end) {
		return d.Time
	}
	return end
}

// ReadyDeadline is when everything must be ready: startTime - prewarm.
func (p *PromotionEvent) ReadyDeadline() time.Time {
	prewarm := defaultPrewarm
	if p.Spec.Prewarm != nil {
		prewarm = p.Spec.Prewarm.Duration
	}
	return p.Spec.StartTime.Add(-prewarm)
}

// PrepareTime is when stock, streams and partitions are taken: spec.prepareBefore before the deadline.
func (p *PromotionEvent) PrepareTime() time.Time {
	before := defaultPrepareBefore
	if p.Spec.PrepareBefore != nil {
		before = p.Spec.PrepareBefore.Duration
	}
	return p.ReadyDeadline().Add(-before)
}

// LogKept is until when the log of a settled promotion is kept, and whether its deletion waits for that:
// if spec.settlement.keepLog says so and there is a log. One that was not asked for goes with the PromotionEvent.
func (p *PromotionEvent) LogKept() (until time.Time, pinned bool) {
	if keep := p.Spec.Settlement.KeepLog; keep != nil {
		there := !p.Status.ClosedTime.IsZero() && p.Status.LogRemovedTime.IsZero()
		return p.Status.SettledTime.Add(keep.Duration), there
	}
	return p.Status.SettledTime.Add(defaultKeepLog), false
}

// AdmissionRequired reports whether orders need admission tokens.
func (p *PromotionEvent) AdmissionRequired() bool {
	return p.Spec.Admission.Required != nil && *p.Spec.Admission.Required
}

// AdmissionEnd is when no more admission tokens are given out: startTime unless set.
func (p *PromotionEvent) AdmissionEnd() time.Time {
	if until := p.Spec.Admission.Until; !until.IsZero() {
		return until.Time
	}
	return p.Spec.StartTime.Time
}

// StreamCount is how many streams the promotion has, at least 1.
func (p *PromotionEvent) StreamCount() int32 { return max(1, p.Status.Streams) }

// PaymentTimeout of the sale's orders; 15 minutes unless set.
func (p *PromotionEvent) PaymentTimeout() time.Duration {
	if p.Spec.PaymentTimeout != nil {
		return p.Spec.PaymentTimeout.Duration
	}
	return defaultPaymentTimeout
}

// Limit is the most units a buyer may have of the item; 0: no limit.
func (i PromotionItem) Limit() int64 {
	if i.LimitPerBuyer == nil {
		return 0
	}
	return int64(*i.LimitPerBuyer)
}

// UnitPrice in the currency's minor unit.
func (i PromotionItem) UnitPrice() int64 {
	if i.Price == nil {
		return 0
	}
	return *i.Price
}

// IsOff reports whether new orders of the item are refused.
func (i PromotionItem) IsOff() bool { return i.Off != nil && *i.Off }
