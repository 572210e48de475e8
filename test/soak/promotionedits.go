package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// skus are what there is to sell.
var skus = []string{"phone", "case", "cable", "watch", "tablet"}

// promotionEdit changes a PromotionEvent's spec. What the API server refuses at its stage of life is refused.
type promotionEdit struct {
	name string
	do   func(*rand.Rand, *v1alpha1.PromotionEventSpec)
}

// newPromotion begins at once, in a while, or is far ahead.
func newPromotion(r *rand.Rand, p *place, name string) *v1alpha1.PromotionEvent {
	start := time.Now().Add(time.Duration(r.IntN(8)) * time.Second).Truncate(time.Second)
	end := start.Add(time.Duration(10+r.IntN(80)) * time.Second)
	switch r.IntN(8) {
	case 0:
		start = start.Add(3 * time.Hour)
		end = start.Add(time.Hour)
	case 1, 2:
		start = start.Add(30 * time.Minute)
		end = start.Add(time.Hour)
	}
	promotion := &v1alpha1.PromotionEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name},
		Spec: v1alpha1.PromotionEventSpec{
			OrderClusterRef: v1alpha1.OrderClusterReference{Name: clusterName}, Currency: "CNY",
			StartTime: metav1.NewTime(start), EndTime: metav1.NewTime(end),
			Prewarm: &metav1.Duration{Duration: time.Minute}, PaymentTimeout: &metav1.Duration{Duration: 5 * time.Minute},
			Traffic:    v1alpha1.TrafficSpec{ExpectedPeakRPS: int32(500 + 500*r.IntN(6))},
			Settlement: v1alpha1.SettlementSpec{KeepLog: toggled(r, &metav1.Duration{Duration: 3 * time.Second})},
		},
	}
	order := r.Perm(len(skus))
	for _, i := range order[:1+r.IntN(len(skus))] {
		promotion.Spec.Items = append(promotion.Spec.Items, v1alpha1.PromotionItem{
			SKU: skus[i], Price: ptr.To(int64(100 + r.IntN(900))), Stock: int64(10 + r.IntN(200)),
			LimitPerBuyer: toggled(r, ptr.To[int32](2)),
		})
	}
	if r.IntN(2) == 0 {
		promotion.Spec.Partitions = ptr.To(int32(2 + 2*r.IntN(2)))
	}
	return promotion
}

// promotionEdits are those that may be asked for at some stage.
var promotionEdits = []promotionEdit{
	{"paused", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) { s.Paused = toggled(r, ptr.To(true)) }},
	{"off", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Items[r.IntN(len(s.Items))].Off = toggled(r, ptr.To(true))
	}},
	{"limit", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Items[r.IntN(len(s.Items))].LimitPerBuyer = toggled(r, between(r, 1, 5))
	}},
	{"top up", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Items[r.IntN(len(s.Items))].Stock += int64(1 + r.IntN(50))
	}},
	{"less stock", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		i := r.IntN(len(s.Items))
		s.Items[i].Stock = max(1, s.Items[i].Stock-5)
	}},
	{"price", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Items[r.IntN(len(s.Items))].Price = ptr.To(int64(100 + r.IntN(900)))
	}},
	{"item less", func(_ *rand.Rand, s *v1alpha1.PromotionEventSpec) { s.Items = s.Items[:max(1, len(s.Items)-1)] }},
	{"extend", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.EndTime = metav1.NewTime(s.EndTime.Add(time.Duration(1+r.IntN(20)) * time.Second))
	}},
	{"end early", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.EndTime = metav1.NewTime(time.Now().Add(time.Duration(r.IntN(4)) * time.Second).Truncate(time.Second))
	}},
	{"move the start", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		by := time.Duration(r.IntN(90)-30) * time.Minute
		s.StartTime, s.EndTime = metav1.NewTime(s.StartTime.Add(by)), metav1.NewTime(s.EndTime.Add(by))
	}},
	{"begin now", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		now := time.Now().Truncate(time.Second)
		s.StartTime = metav1.NewTime(now)
		s.EndTime = metav1.NewTime(now.Add(time.Duration(10+r.IntN(60)) * time.Second))
	}},
	{"prewarm", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Prewarm = &metav1.Duration{Duration: time.Duration(1+r.IntN(5)) * time.Minute}
		s.PrepareBefore = toggled(r, &metav1.Duration{Duration: time.Duration(1+r.IntN(3)) * time.Hour})
	}},
	{"peak", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) { s.Traffic.ExpectedPeakRPS = *between(r, 500, 4000) }},
	{"payment time-out", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.PaymentTimeout = &metav1.Duration{Duration: time.Duration(1+r.IntN(9)) * time.Minute}
	}},
	{"admission", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Admission = v1alpha1.AdmissionSpec{Required: toggled(r, ptr.To(true)), Until: toggled(r, s.EndTime)}
	}},
	{"keepLog", func(r *rand.Rand, s *v1alpha1.PromotionEventSpec) {
		s.Settlement.KeepLog = toggled(r, &metav1.Duration{Duration: time.Duration(r.IntN(5)) * time.Second})
	}},
}

// editPromotion changes one thing, and says what.
func editPromotion(r *rand.Rand, s *v1alpha1.PromotionEventSpec) string {
	e := promotionEdits[r.IntN(len(promotionEdits))]
	e.do(r, s)
	return e.name
}

func promotionName(r *rand.Rand) string { return fmt.Sprintf("sale-%d", r.IntN(4)) }
