// Package resource reads a sale from its PromotionEvent: for the operator, which has it from
// Kubernetes, and for development, which has it from a file.
package resource

import (
	"k8s.io/utils/ptr"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sale/capacity"
)

// Plan fixes the streams, the items of each, and the number of partitions in the promotion's status:
// what they are computed from may change later, and they must not.
func Plan(c *v1alpha1.OrderCluster, p *v1alpha1.PromotionEvent) {
	st := &p.Status
	st.Streams = capacity.Streams(p)
	st.Partitions = capacity.Partitions(c, p, st.Streams)
	st.Items = nil
	streams := capacity.Spread(p.Spec.Items, st.Streams)
	for i, item := range p.Spec.Items {
		st.Items = append(st.Items, v1alpha1.PromotionItemStatus{SKU: item.SKU, Stream: &streams[i]})
	}
}

// Definition is what the pods are told of a planned promotion, but for its top-ups and that it is
// closed.
func Definition(p *v1alpha1.PromotionEvent) *flashv1.Promotion {
	uid := p.SaleUID()
	d := &flashv1.Promotion{
		Uid:              uid,
		Name:             p.Name,
		StartUnixMs:      p.Spec.StartTime.UnixMilli(),
		EndUnixMs:        p.End().UnixMilli(),
		Paused:           p.IsPaused(),
		Partitions:       p.Status.Partitions,
		Streams:          sale.StreamNames(uid, p.StreamCount()),
		Currency:         p.Spec.Currency,
		PaymentTimeoutMs: p.PaymentTimeout().Milliseconds(),
		Open:             true,
		MadeUnixMs:       p.CreationTimestamp.UnixMilli(),
		Generation:       p.Generation,

		AdmissionRequired: p.AdmissionRequired(), AdmissionEndUnixMs: p.AdmissionEnd().UnixMilli(),
	}
	streams := Streams(p)
	for _, item := range p.Spec.Items {
		d.Items = append(d.Items, &flashv1.PromotedItem{
			Sku: item.SKU, UnitPrice: item.UnitPrice(), LimitPerBuyer: item.Limit(), Off: item.IsOff(),
			Stream: ptr.Deref(streams[item.SKU], 0),
		})
	}
	return d
}

// Items is the stock that the spec asks for.
func Items(p *v1alpha1.PromotionEvent) []sale.Quantity {
	var items []sale.Quantity
	for _, item := range p.Spec.Items {
		items = append(items, sale.Quantity{SKU: item.SKU, Quantity: item.Stock})
	}
	return items
}

// Streams is the index of the stream of each SKU, as Plan fixed it.
func Streams(p *v1alpha1.PromotionEvent) map[string]*int32 {
	streams := make(map[string]*int32, len(p.Status.Items))
	for _, item := range p.Status.Items {
		streams[item.SKU] = item.Stream
	}
	return streams
}
