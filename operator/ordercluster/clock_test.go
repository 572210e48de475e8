package ordercluster

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

func TestTheFlashPoolIsSizedByJetStreamsTime(t *testing.T) {
	start := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	p := v1alpha1.PromotionEvent{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "sale"}}
	p.Spec.OrderClusterRef.Name = "shop"
	p.Spec.StartTime, p.Spec.EndTime = metav1.NewTime(start), metav1.NewTime(start.Add(time.Hour))
	p.Spec.Traffic.ExpectedPeakRPS = 4000 // Five pods.
	for name, tt := range map[string]struct {
		own, jetStream time.Duration
		unknown        bool
		had            int32
		want           int32
	}{
		"due by both":                     {want: 5},
		"due by JetStream's alone":        {own: -3 * time.Hour, want: 5},
		"due by its own alone":            {jetStream: -3 * time.Hour, want: 1},
		"over":                            {own: -time.Hour, jetStream: 2 * time.Hour, had: 5, want: 1},
		"unknown, and due by its own":     {unknown: true, had: 1, want: 5},
		"unknown, and over by its own":    {own: 2 * time.Hour, unknown: true, had: 5, want: 5},
		"unknown, and nothing was before": {own: 2 * time.Hour, unknown: true, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := &v1alpha1.OrderCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}}
			if tt.had > 0 {
				c.Status.Pools = []v1alpha1.PoolStatus{{Name: v1alpha1.PoolFlash, Desired: ptr.To(tt.had)}}
			}
			s := newScope(c, start.Add(tt.own))
			s.promotions, s.counted = []v1alpha1.PromotionEvent{p}, true
			if !tt.unknown {
				s.saleNow, s.clocked = start.Add(tt.jetStream), true
			}
			if s.size(); s.desired[v1alpha1.PoolFlash] != tt.want {
				t.Errorf("the flash pool is to have %d pods, want %d", s.desired[v1alpha1.PoolFlash], tt.want)
			}
		})
	}
}
