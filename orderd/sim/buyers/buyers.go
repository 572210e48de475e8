// Package buyers is a crowd that comes to a sale: a [Crowd] says who comes when and wants what, a
// [Rush] lets them ask as well-behaved apps do, and a [Ledger] keeps every answer and notices those
// that contradict each other.
//
// What an answer means ([Read]) and how a request is repeated ([Retry]) is the same for everybody who
// asks orderd, and stands here once: the demo, chaos and the journeys use it.
//
// Three others look alike and are not the same. The chaos tests' buyers do what no app should (they
// go away, ask two pods at once and come back later), and orderd/sim/audit judges their calls
// afterwards, with the times at which each was sent and answered, which a Ledger of a whole crowd
// could not hold. The journeys' model predicts what each call must answer, so it is no load. The
// benchmarks' load writes bytes and counts answers, because a full client costs as much as the
// server that is measured.
package buyers

import (
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

// Sale is the promotion that buyers come to.
type Sale struct {
	// Promotion is its name.
	Promotion  string
	Start, End time.Time
	Offers     []audit.Offer
}

// Order is what a buyer asks for under a request id. ID is empty until an answer gives it.
type Order struct {
	ID, Buyer, Request string
	Items              []audit.Item
}

// Place is the request for the order.
func (o Order) Place(promotion string) *flashv1.PlaceFlashOrderRequest {
	return &flashv1.PlaceFlashOrderRequest{
		Promotion: promotion, BuyerId: o.Buyer, RequestId: o.Request, Items: Items(o.Items),
	}
}

// Items as the flash lane's requests have them.
func Items(items []audit.Item) []*flashv1.FlashOrderItem {
	out := make([]*flashv1.FlashOrderItem, len(items))
	for i, it := range items {
		out[i] = &flashv1.FlashOrderItem{Sku: it.SKU, Quantity: it.Quantity}
	}
	return out
}
