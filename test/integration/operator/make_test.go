package operator_test

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// clusterWrapper builds an OrderCluster for a test.
type clusterWrapper struct{ v1alpha1.OrderCluster }

func makeCluster(namespace, natsURL string) *clusterWrapper {
	return &clusterWrapper{v1alpha1.OrderCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop"},
		Spec: v1alpha1.OrderClusterSpec{
			Image: "orderd:test",
			Database: v1alpha1.DatabaseSpec{
				URLSecretRef: v1alpha1.SecretKeyReference{Name: "database", Key: "url"}, Insecure: ptr.To(true),
			},
			Messaging: v1alpha1.MessagingSpec{URL: natsURL, Insecure: ptr.To(true)},
			Pools: v1alpha1.PoolsSpec{
				Flash: v1alpha1.PoolSpec{
					Replicas:    v1alpha1.PoolReplicas{Min: ptr.To[int32](1), Max: ptr.To[int32](4)},
					CapacityRPS: ptr.To[int32](1000),
				},
			},
			Auth: v1alpha1.AuthSpec{Issuer: "https://id.example", Audience: "shop", JWKSURL: "https://id.example/jwks"},
			Payments: []v1alpha1.PaymentSpec{{
				Provider:  v1alpha1.PaymentProviderSandbox,
				SecretRef: &v1alpha1.SecretKeyReference{Name: "sandbox", Key: "key"},
			}},
		},
	}}
}

func (w *clusterWrapper) Named(name string) *clusterWrapper {
	w.Name = name
	return w
}

func (w *clusterWrapper) Obj() *v1alpha1.OrderCluster { return &w.OrderCluster }

// promotionWrapper builds a PromotionEvent for a test: two items, four partitions, an hour from now.
type promotionWrapper struct{ v1alpha1.PromotionEvent }

func makePromotion(namespace string) *promotionWrapper {
	start := time.Now().Add(time.Hour).Truncate(time.Second)
	return &promotionWrapper{v1alpha1.PromotionEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "singles-day"},
		Spec: v1alpha1.PromotionEventSpec{
			OrderClusterRef: v1alpha1.OrderClusterReference{Name: "shop"},
			Currency:        "CNY",
			StartTime:       metav1.NewTime(start),
			EndTime:         metav1.NewTime(start.Add(time.Hour)),
			Prewarm:         &metav1.Duration{Duration: time.Minute},
			// Whatever the start, it is prepared at once.
			PrepareBefore:  &metav1.Duration{Duration: 8760 * time.Hour},
			PaymentTimeout: &metav1.Duration{Duration: 5 * time.Minute},
			Items: []v1alpha1.PromotionItem{
				{SKU: "phone", Price: ptr.To[int64](199900), Stock: 100, LimitPerBuyer: ptr.To[int32](1)},
				{SKU: "case", Price: ptr.To[int64](990), Stock: 50},
			},
			Traffic:    v1alpha1.TrafficSpec{ExpectedPeakRPS: 2000},
			Partitions: ptr.To[int32](4),
		},
	}}
}

func (w *promotionWrapper) Named(name string) *promotionWrapper {
	w.Name = name
	return w
}

func (w *promotionWrapper) Window(start, end time.Time) *promotionWrapper {
	w.Spec.StartTime, w.Spec.EndTime = metav1.NewTime(start), metav1.NewTime(end)
	return w
}

func (w *promotionWrapper) Items(items ...v1alpha1.PromotionItem) *promotionWrapper {
	w.Spec.Items = items
	return w
}

func (w *promotionWrapper) Obj() *v1alpha1.PromotionEvent { return &w.PromotionEvent }
