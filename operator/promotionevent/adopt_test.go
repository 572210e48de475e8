package promotionevent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// A spec from before the last changes does not take their place: not what cannot be changed, not a pause, not an end.
func TestWhatAnAdoptedPromotionHasToHave(t *testing.T) {
	start := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	type promo = flashv1.Promotion
	told := func() *promo {
		return &flashv1.Promotion{
			Currency: "EUR", StartUnixMs: start.UnixMilli(), EndUnixMs: start.Add(time.Hour).UnixMilli(),
			MadeUnixMs: start.Add(-time.Hour).UnixMilli(),
			Items:      []*flashv1.PromotedItem{{Sku: "a", UnitPrice: 100, LimitPerBuyer: 2}, {Sku: "b", UnitPrice: 5}},
		}
	}
	p := &v1alpha1.PromotionEvent{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(start)},
		Spec: v1alpha1.PromotionEventSpec{
			Currency: "EUR", StartTime: metav1.NewTime(start), EndTime: metav1.NewTime(start.Add(time.Hour)),
			Items: []v1alpha1.PromotionItem{
				{SKU: "a", Price: ptr.To[int64](100), LimitPerBuyer: ptr.To[int32](2)}, {SKU: "b", Price: ptr.To[int64](5)},
			},
		},
	}
	for name, tt := range map[string]struct {
		change func(*promo)
		want   []string
	}{
		"the same":               {func(*promo) {}, nil},
		"opened since":           {func(t *promo) { t.Open = true }, nil},
		"another price":          {func(t *promo) { t.Items[0].UnitPrice = 90 }, []string{"its price of a is 90"}},
		"another item":           {func(t *promo) { t.Items[1].Sku = "c" }, []string{"it has no b", "it has c"}},
		"another currency":       {func(t *promo) { t.Currency = "CNY" }, []string{"its currency is CNY"}},
		"a looser limit":         {func(t *promo) { t.Items[0].LimitPerBuyer = 1 }, []string{"its limit of a is 1"}},
		"no limit in place of 1": {func(t *promo) { t.Items[1].LimitPerBuyer = 1 }, []string{"its limit of b is 1"}},
		"a tighter limit":        {func(t *promo) { t.Items[0].LimitPerBuyer = 3 }, nil},
		"switched off":           {func(t *promo) { t.Items[0].Off = true }, []string{"its a is off"}},
		"paused":                 {func(t *promo) { t.Paused = true }, []string{"it is paused"}},
		"extended": {
			func(t *promo) { t.EndUnixMs += 1000 }, []string{"its endTime is 2026-11-11T01:00:01Z"},
		},
		"begins later": {
			func(t *promo) { t.StartUnixMs += 1000 }, []string{"its startTime is 2026-11-11T00:00:01Z"},
		},
		"made later": {
			func(t *promo) { t.MadeUnixMs = start.Add(time.Hour).UnixMilli() },
			[]string{"it was made later, at 2026-11-11T01:00:00Z, so that this one has to be made again after that"},
		},
	} {
		before := told()
		tt.change(before)
		if diff := cmp.Diff(tt.want, differences(p, before)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := differences(p, nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
