// Package sale is a promotion as the flash lane's callers see it: its window, its items and the
// refusals they get.
package sale

import (
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
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
