// Package cart keeps what buyers mean to order. It reserves nothing and remembers no prices.
package cart

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// maxLines a cart, as many as an order may have.
	maxLines = 100
	// maxQuantity a line, as many as an order's line may have.
	maxQuantity = 9999
)

// Item is a line of a cart.
type Item struct {
	SKU      string
	Quantity int64
	// Selected for the next order.
	Selected bool
	AddedAt  time.Time
}

func (i Item) proto() *cartv1.CartItem {
	return &cartv1.CartItem{Sku: i.SKU, Quantity: i.Quantity, Selected: i.Selected, AddedAt: timestamppb.New(i.AddedAt)}
}

// add is the item of the cart with the SKU after more units of it were added.
func add(items []Item, sku string, quantity int64, now time.Time) (Item, error) {
	for _, have := range items {
		if have.SKU != sku {
			continue
		}
		if have.Quantity+quantity > maxQuantity {
			return Item{}, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonQuantityTooLarge,
				"the line would have too many units", "sku", sku, "quantity", strconv.FormatInt(have.Quantity, 10), "field",
				"quantity")
		}
		return Item{SKU: sku, Quantity: have.Quantity + quantity, Selected: true, AddedAt: have.AddedAt}, nil
	}
	if len(items) >= maxLines {
		return Item{}, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonCartFull,
			"the cart has as many lines as there may be")
	}
	return Item{SKU: sku, Quantity: quantity, Selected: true, AddedAt: now}, nil
}

// merge is what has to be written to a cart so that the guest's lines are in it, and the SKUs that
// find no room: the guest's oldest ones. What the buyer has is never dropped.
func merge(own, guest []Item) (changed []Item, dropped []string) {
	bySKU := make(map[string]Item, len(own))
	for _, i := range own {
		bySKU[i.SKU] = i
	}
	room := maxLines - len(own)
	guest = slices.SortedFunc(slices.Values(guest), func(a, b Item) int {
		return cmp.Or(b.AddedAt.Compare(a.AddedAt), cmp.Compare(a.SKU, b.SKU))
	})
	for _, g := range guest {
		have, ok := bySKU[g.SKU]
		switch {
		case ok:
			have.Quantity = min(have.Quantity+g.Quantity, maxQuantity)
			have.Selected = have.Selected || g.Selected
			changed = append(changed, have)
		case room > 0:
			room--
			changed = append(changed, g)
		default:
			dropped = append(dropped, g.SKU)
		}
	}
	return changed, dropped
}

func lineNotFound(sku string) error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonCartLineNotFound, "the SKU is not in the cart", "sku", sku)
}
