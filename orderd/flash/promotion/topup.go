package promotion

import (
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// ToppedUp is the record of partition n's share of a top-up; nil if it has none, because the share
// is no unit or the item is sold by another stream. Whoever appends it, it is the same.
func (p *Promotion) ToppedUp(n int32, topUp *flashv1.TopUp) *flashv1.Record {
	if p.Item(topUp.GetSku()).GetStream() != p.StreamOf(n) {
		return nil
	}
	per := p.PerStream()
	share := partition.Share(topUp.GetQuantity(), topUp.GetSku(), n%per, per)
	if share == 0 {
		return nil
	}
	return &flashv1.Record{Kind: &flashv1.Record_ToppedUp{ToppedUp: &flashv1.ToppedUp{
		TopUpId: topUp.GetId(), Items: []*flashv1.ItemQuantity{{Sku: topUp.GetSku(), Quantity: share}},
	}}}
}
