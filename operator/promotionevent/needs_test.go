package promotionevent

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// counted is a client that has promotions, and counts how often they are listed, and how many were read.
type counted struct {
	client.Client
	promotions []v1alpha1.PromotionEvent
	lists      int
	// during, if set, happens while a list is read.
	during func()
}

func (c *counted) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	c.lists++
	list.(*v1alpha1.PromotionEventList).Items = append([]v1alpha1.PromotionEvent(nil), c.promotions...)
	if c.during != nil {
		c.during()
	}
	return nil
}

func manyLive(n int) []v1alpha1.PromotionEvent {
	var all []v1alpha1.PromotionEvent
	for i := range n {
		p := promotion()
		p.Name, p.UID, p.Generation = fmt.Sprint(i), types.UID(fmt.Sprint(i)), 1
		p.Spec.OrderClusterRef.Name, p.Spec.Traffic.ExpectedPeakRPS = "shop", 800
		p.CreationTimestamp = metav1.NewTime(saleStart.Add(time.Duration(i-n) * time.Minute))
		all = append(all, *p)
	}
	return all
}

func TestManyLivePromotionsAreListedOnce(t *testing.T) {
	const n = 300
	reader := &counted{promotions: manyLive(n)}
	r := &Reconciler{Client: reader, Log: slog.New(slog.DiscardHandler)}
	r.needs.watch()
	c := &v1alpha1.OrderCluster{ObjectMeta: metav1.ObjectMeta{Namespace: reader.promotions[0].Namespace, Name: "shop"}}
	c.Spec.Pools.Flash.Replicas.Max = ptr.To[int32](100)
	c.Status.Pools = []v1alpha1.PoolStatus{{Name: v1alpha1.PoolFlash, Available: ptr.To[int32](100)}}
	check := func(i int) string {
		s := newScope(&reader.promotions[i], saleStart.Add(time.Minute))
		s.cluster = c
		if _, err := r.checkCapacity(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		return s.report.Get(v1alpha1.ConditionFlashPoolReady).Reason
	}
	for range 3 {
		for i := range n {
			want := v1alpha1.ReasonAvailable
			if i >= 100 {
				want = v1alpha1.ReasonMaxReplicasReached
			}
			if got := check(i); got != want {
				t.Fatalf("promotion %d: %s, want %s", i, got, want)
			}
		}
	}
	if reader.lists != 1 {
		t.Errorf("they were listed %d times", reader.lists)
	}

	// A change is seen by the next one that looks.
	before := reader.promotions[0]
	reader.promotions[0].Spec.Traffic.ExpectedPeakRPS, reader.promotions[0].Generation = 1600, 2
	if !r.changed().Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &reader.promotions[0]}) {
		t.Error("the change wakes nobody")
	}
	if got := check(99); got != v1alpha1.ReasonMaxReplicasReached || reader.lists != 2 {
		t.Errorf("after a change: %s, listed %d times", got, reader.lists)
	}
	// Its figures are none.
	figures := reader.promotions[0]
	figures.Status.Sold = ptr.To[int64](5)
	if r.changed().Update(event.UpdateEvent{ObjectOld: &reader.promotions[0], ObjectNew: &figures}) {
		t.Error("its own status wakes a promotion")
	}
	if check(99); reader.lists != 2 {
		t.Errorf("after figures that changed they were listed %d times", reader.lists)
	}
	// What changes while it is listed is not lost.
	r.needs.forget(client.ObjectKeyFromObject(c))
	reader.during = func() {
		reader.during = nil
		r.needs.forget(client.ObjectKeyFromObject(c))
	}
	check(0)
	if check(0); reader.lists != 4 {
		t.Errorf("they were listed %d times, want 4", reader.lists)
	}
}

func TestOtherPodsOfAnOrderClusterWakeNoPromotion(t *testing.T) {
	before := &v1alpha1.OrderCluster{}
	before.Status.Pools = []v1alpha1.PoolStatus{
		{Name: v1alpha1.PoolStandard, Available: ptr.To[int32](1)}, {Name: v1alpha1.PoolFlash, Available: ptr.To[int32](1)},
	}
	for name, tt := range map[string]struct {
		change func(*v1alpha1.OrderCluster)
		want   bool
	}{
		"a pod of the standard pool": {
			change: func(c *v1alpha1.OrderCluster) { c.Status.Pools[0].Available = ptr.To[int32](2) },
		},
		"a pod of the flash pool": {
			change: func(c *v1alpha1.OrderCluster) { c.Status.Pools[1].Available = ptr.To[int32](2) }, want: true,
		},
		"the spec":      {change: func(c *v1alpha1.OrderCluster) { c.Generation++ }, want: true},
		"the migration": {change: func(c *v1alpha1.OrderCluster) { c.Status.Migration.Revision = "b" }, want: true},
		"messaging": {change: func(c *v1alpha1.OrderCluster) {
			c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionMessagingReady, Status: metav1.ConditionTrue}}
		}, want: true},
		"its deletion": {
			change: func(c *v1alpha1.OrderCluster) { c.DeletionTimestamp = &metav1.Time{Time: saleStart} }, want: true,
		},
	} {
		now := before.DeepCopy()
		tt.change(now)
		if got := clusterChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: now}); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
