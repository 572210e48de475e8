// Package sale is a promotion as the flash lane's callers see it: its window, its items and the
// refusals they get.
package sale

import (
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// Sale is one version of a promotion. Never changed after New.
type Sale struct {
	*flashv1.Promotion
	items map[string]*flashv1.PromotedItem
}

// New takes the promotion over: it must not be changed afterwards.
func New(promotion *flashv1.Promotion) *Sale {
	s := &Sale{Promotion: promotion, items: make(map[string]*flashv1.PromotedItem, len(promotion.GetItems()))}
	for _, item := range promotion.GetItems() {
		s.items[item.GetSku()] = item
	}
	return s
}

// Item of a SKU, or nil.
func (s *Sale) Item(sku string) *flashv1.PromotedItem { return s.items[sku] }

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

// Admit says whether the sale takes a request at a time: nil or the refusal. Stock and limits are
// the partition's business.
func (s *Sale) Admit(now time.Time, request *flashv1.PlaceFlashOrderRequest) error {
	switch ms := now.UnixMilli(); {
	case s.GetClosed() || ms >= s.GetEndUnixMs():
		return Ended()
	case ms < s.GetStartUnixMs():
		return NotStarted(s.Start())
	case s.GetPaused():
		return Paused()
	}
	for _, item := range request.GetItems() {
		promoted := s.Item(item.GetSku())
		if promoted == nil {
			return ItemNotFound(item.GetSku())
		}
		if promoted.GetOff() {
			return ItemOff(item.GetSku())
		}
	}
	return nil
}
