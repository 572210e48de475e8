// Package sale is a promotion as the flash lane's callers see it: its window, its items and the
// refusals they get.
package sale

import (
	"sync/atomic"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// Sale is one version of a promotion. Never changed after New. The refusals that it has ready cost nothing to give.
type Sale struct {
	*flashv1.Promotion
	// items has each SKU's index in Promotion.Items.
	items map[string]int
	// Refusals of items by index, made when they are first needed.
	soldOut, itemOff []atomic.Pointer[Refusal]

	notStarted, ended, paused *Refusal
}

// New takes the promotion over: it must not be changed afterwards.
func New(promotion *flashv1.Promotion) *Sale {
	s := &Sale{
		Promotion: promotion, items: make(map[string]int, len(promotion.GetItems())),
		soldOut: make([]atomic.Pointer[Refusal], len(promotion.GetItems())),
		itemOff: make([]atomic.Pointer[Refusal], len(promotion.GetItems())),
		ended:   ended(), paused: paused(),
	}
	s.notStarted = notStarted(s.Start())
	for i, item := range promotion.GetItems() {
		s.items[item.GetSku()] = i
	}
	return s
}

// Item of a SKU, or nil.
func (s *Sale) Item(sku string) *flashv1.PromotedItem {
	if i, ok := s.items[sku]; ok {
		return s.Items[i]
	}
	return nil
}

// Index of a SKU in the promotion's items, which are len(GetItems()), and whether it is one of them.
func (s *Sale) Index(sku string) (int, bool) {
	i, ok := s.items[sku]
	return i, ok
}

// SoldOut is the refusal SoldOut(sku, 0) for the item with an index.
func (s *Sale) SoldOut(index int) *Refusal {
	if r := s.soldOut[index].Load(); r != nil {
		return r
	}
	r := soldOut(s.Items[index].GetSku(), 0)
	s.soldOut[index].Store(r)
	return r
}

// ItemOff is the refusal ItemOff(sku) for the item with an index.
func (s *Sale) ItemOff(index int) *Refusal {
	if r := s.itemOff[index].Load(); r != nil {
		return r
	}
	r := itemOff(s.Items[index].GetSku())
	s.itemOff[index].Store(r)
	return r
}

// NotStarted is the refusal NotStarted(s.Start()).
func (s *Sale) NotStarted() *Refusal { return s.notStarted }

// Ended is the refusal Ended().
func (s *Sale) Ended() *Refusal { return s.ended }

// Paused is the refusal Paused().
func (s *Sale) Paused() *Refusal { return s.paused }

// Start of the window.
func (s *Sale) Start() time.Time { return time.UnixMilli(s.GetStartUnixMs()).UTC() }

// PerStream is how many partitions each of the promotion's streams has.
func (s *Sale) PerStream() int32 { return s.GetPartitions() / max(1, int32(len(s.GetStreams()))) }

// StreamOf is the index of the stream that has a partition.
func (s *Sale) StreamOf(n int32) int32 { return n / s.PerStream() }

// Partition is where a buyer's requests for items of a stream go.
func (s *Sale) Partition(buyer string, stream int32) int32 {
	return stream*s.PerStream() + partition.ForBuyer(buyer, s.PerStream())
}

// Route is the partition of a request, or the refusal of one whose items are not in the promotion or not
// in one stream.
func (s *Sale) Route(request *flashv1.PlaceFlashOrderRequest) (int32, error) {
	stream := int32(-1)
	for _, item := range request.GetItems() {
		promoted := s.Item(item.GetSku())
		switch {
		case promoted == nil:
			return 0, ItemNotFound(item.GetSku())
		case stream < 0:
			stream = promoted.GetStream()
		case stream != promoted.GetStream():
			return 0, ItemsApart(item.GetSku())
		}
	}
	return s.Partition(request.GetBuyerId(), max(stream, 0)), nil
}

// Started says whether the window has opened at a time of the cluster's clock.
func (s *Sale) Started(now time.Time) bool { return now.UnixMilli() >= s.GetStartUnixMs() }

// Admit says whether the sale takes a request at a time of the cluster's clock: nil or the refusal. Stock and limits are
// the partition's business.
func (s *Sale) Admit(now time.Time, request *flashv1.PlaceFlashOrderRequest) error {
	switch ms := now.UnixMilli(); {
	case s.GetClosed() || ms >= s.GetEndUnixMs():
		return s.ended
	case ms < s.GetStartUnixMs():
		return s.notStarted
	case s.GetPaused():
		return s.paused
	}
	for _, item := range request.GetItems() {
		i, ok := s.items[item.GetSku()]
		if !ok {
			return ItemNotFound(item.GetSku())
		}
		if s.Items[i].GetOff() {
			return s.ItemOff(i)
		}
	}
	return nil
}
