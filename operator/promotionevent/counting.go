package promotionevent

import (
	"context"
	"time"

	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sale/resource"
)

const (
	// countInterval is how often sold and left are counted while the sale is live.
	countInterval = 2 * time.Second
	// countItems is how many items a sale may have for that; with twice as many they are
	// counted half as often.
	countItems = 200
	// countShare keeps counting a very long log from becoming all that the operator does: at least
	// this many times as long as the count took passes before the next.
	countShare = 10
)

// count brings the figures of a live sale up to date.
func (r *Reconciler) count(ctx context.Context, s *scope) (bool, error) {
	if !s.started() || s.ended() {
		return false, nil
	}
	begin := r.Clock()
	totals, err := s.sale.Totals(ctx)
	if err != nil {
		r.warn(s, "counting", err)
		r.retry(s)
		return false, nil
	}
	s.figures(totals)
	// A status of very many items costs the API server something.
	interval := countInterval * time.Duration(max(1, len(totals)/countItems))
	s.within(max(interval, countShare*r.Clock().Sub(begin)))
	return false, nil
}

// figures puts what the log holds into the status. Each item keeps its place and its stream.
func (s *scope) figures(totals []sale.Total) {
	of := make(map[string]sale.Total, len(totals))
	for _, t := range totals {
		of[t.SKU] = t
	}
	st := &s.promotion.Status
	streams := resource.Streams(s.promotion)
	var sold, left int64
	st.Items = nil
	for _, item := range s.promotion.Spec.Items {
		t := of[item.SKU]
		sold, left = sold+t.Sold, left+t.Unsold
		st.Items = append(st.Items, v1alpha1.PromotionItemStatus{
			SKU: item.SKU, Stream: streams[item.SKU],
			Allocated: ptr.To(t.Allocated + t.ToppedUp), Sold: ptr.To(t.Sold), Left: ptr.To(t.Unsold),
		})
	}
	st.Sold, st.Left = ptr.To(sold), ptr.To(left)
}
