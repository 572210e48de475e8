// Package promotion is a promotion as the flash lane's callers see it: its window, its items, the
// partition of a request, and the refusals that it has ready.
package promotion

import (
	"sync/atomic"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// Promotion is one version of a promotion. Never changed after New. The refusals that it has ready
// cost nothing to give.
type Promotion struct {
	*flashv1.Promotion
	// items has each SKU's index in Promotion.Items.
	items map[string]int
	// Refusals of items by index, made when they are first needed.
	soldOut, itemOff []atomic.Pointer[refusal.Error]

	notStarted, ended, paused *refusal.Error
}

// New takes the promotion over: it must not be changed afterwards.
func New(message *flashv1.Promotion) *Promotion {
	p := &Promotion{
		Promotion: message, items: make(map[string]int, len(message.GetItems())),
		soldOut: make([]atomic.Pointer[refusal.Error], len(message.GetItems())),
		itemOff: make([]atomic.Pointer[refusal.Error], len(message.GetItems())),
		ended:   refusal.Ended(), paused: refusal.Paused(),
	}
	p.notStarted = refusal.NotStarted(p.Start())
	for i, item := range message.GetItems() {
		p.items[item.GetSku()] = i
	}
	return p
}

// Item of a SKU, or nil.
func (p *Promotion) Item(sku string) *flashv1.PromotedItem {
	if i, ok := p.items[sku]; ok {
		return p.Items[i]
	}
	return nil
}

// Index of a SKU in the promotion's items, which are len(GetItems()), and whether it is one of them.
func (p *Promotion) Index(sku string) (int, bool) {
	i, ok := p.items[sku]
	return i, ok
}

// SoldOut is the refusal SoldOut(sku, 0) for the item with an index.
func (p *Promotion) SoldOut(index int) *refusal.Error {
	if r := p.soldOut[index].Load(); r != nil {
		return r
	}
	r := refusal.SoldOut(p.Items[index].GetSku(), 0)
	p.soldOut[index].Store(r)
	return r
}

// ItemOff is the refusal ItemOff(sku) for the item with an index.
func (p *Promotion) ItemOff(index int) *refusal.Error {
	if r := p.itemOff[index].Load(); r != nil {
		return r
	}
	r := refusal.ItemOff(p.Items[index].GetSku())
	p.itemOff[index].Store(r)
	return r
}

// NotStarted is the refusal NotStarted(p.Start()).
func (p *Promotion) NotStarted() *refusal.Error { return p.notStarted }

// Ended is the refusal Ended().
func (p *Promotion) Ended() *refusal.Error { return p.ended }

// Paused is the refusal Paused().
func (p *Promotion) Paused() *refusal.Error { return p.paused }

// Start of the window.
func (p *Promotion) Start() time.Time { return time.UnixMilli(p.GetStartUnixMs()).UTC() }

// PerStream is how many partitions each of the promotion's streams has.
func (p *Promotion) PerStream() int32 { return p.GetPartitions() / max(1, int32(len(p.GetStreams()))) }

// StreamOf is the index of the stream that has a partition.
func (p *Promotion) StreamOf(n int32) int32 { return n / p.PerStream() }

// Partition is where a buyer's requests for items of a stream go.
func (p *Promotion) Partition(buyer string, stream int32) int32 {
	return stream*p.PerStream() + partition.ForBuyer(buyer, p.PerStream())
}

// Route is the partition of a request, or the refusal of one whose items are not in the promotion
// or not in one stream.
func (p *Promotion) Route(request *flashv1.PlaceFlashOrderRequest) (int32, error) {
	stream := int32(-1)
	for _, item := range request.GetItems() {
		promoted := p.Item(item.GetSku())
		switch {
		case promoted == nil:
			return 0, refusal.ItemNotFound(item.GetSku())
		case stream < 0:
			stream = promoted.GetStream()
		case stream != promoted.GetStream():
			return 0, refusal.ItemsApart(item.GetSku())
		}
	}
	return p.Partition(request.GetBuyerId(), max(stream, 0)), nil
}

// Started says whether the window has opened at a time of the cluster's clock.
func (p *Promotion) Started(now time.Time) bool { return now.UnixMilli() >= p.GetStartUnixMs() }

// Admit says whether the sale takes a request at a time of the cluster's clock: nil or the refusal.
// Stock and limits are the partition's business.
func (p *Promotion) Admit(now time.Time, request *flashv1.PlaceFlashOrderRequest) error {
	switch ms := now.UnixMilli(); {
	case p.GetClosed() || ms >= p.GetEndUnixMs():
		return p.ended
	case ms < p.GetStartUnixMs():
		return p.notStarted
	case p.GetPaused():
		return p.paused
	}
	for _, item := range request.GetItems() {
		i, ok := p.items[item.GetSku()]
		if !ok {
			return refusal.ItemNotFound(item.GetSku())
		}
		if p.Items[i].GetOff() {
			return p.ItemOff(i)
		}
	}
	return nil
}
