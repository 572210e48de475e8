package cart_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/cart"
)

// line and model are what the carts of one check have to be.
type line struct {
	quantity int64
	selected bool
}

type model map[string]map[string]line

func (m model) of(buyer string) map[string]line {
	if m[buyer] == nil {
		m[buyer] = map[string]line{}
	}
	return m[buyer]
}

// answer is what a call answered: a message, or the reason of its refusal.
type answer struct {
	message proto.Message
	reason  string
}

// call is a mutation that can be made again, and what the model says it answers the first time.
type call struct {
	name string
	make func() (proto.Message, error)
	want answer
}

func item(sku string, l line) *cartv1.CartItem {
	return &cartv1.CartItem{Sku: sku, Quantity: l.quantity, Selected: l.selected}
}

func refused(reason string) answer { return answer{reason: reason} }

// walk is one random walk over three carts.
type walk struct {
	shop     *shop
	prefix   string
	requests int
	model    model
	done     []call
}

func (w *walk) buyer(t *rapid.T) string {
	return w.prefix + rapid.SampledFrom([]string{"ann", "guest", "tab"}).Draw(t, "buyer")
}

func (w *walk) request() string {
	w.requests++
	return fmt.Sprint("r", w.requests)
}

var modelSKUs = []string{"A", "B", "C", "OFF", "NONE"}

func (w *walk) add(t *rapid.T) call {
	req := &cartv1.AddCartLineRequest{
		RequestId: w.request(), BuyerId: w.buyer(t), Sku: rapid.SampledFrom(modelSKUs).Draw(t, "SKU"),
		Quantity: rapid.OneOf(rapid.Int64Range(1, 5), rapid.Int64Range(1, 9999)).Draw(t, "quantity"),
	}
	c := call{
		name: "add " + req.String(),
		make: func() (proto.Message, error) { return w.shop.AddCartLine(context.Background(), req) },
	}
	have := w.model.of(req.GetBuyerId())
	after := line{quantity: have[req.GetSku()].quantity + req.GetQuantity(), selected: true}
	switch {
	case req.GetSku() == "NONE":
		c.want = refused("SKU_NOT_FOUND")
	case req.GetSku() == "OFF":
		c.want = refused("SKU_NOT_ON_SALE")
	case after.quantity > 9999:
		c.want = refused("QUANTITY_TOO_LARGE")
	default:
		have[req.GetSku()] = after
		c.want.message = &cartv1.AddCartLineResponse{Item: item(req.GetSku(), after)}
	}
	return c
}

func (w *walk) change(t *rapid.T) call {
	req := &cartv1.ChangeCartLineRequest{
		RequestId: w.request(),
		BuyerId:   w.buyer(t),
		Sku:       rapid.SampledFrom(modelSKUs).Draw(t, "SKU"),
		Quantity:  rapid.Int64Range(1, 9999).Draw(t, "quantity"),
	}
	c := call{
		name: "change " + req.String(),
		make: func() (proto.Message, error) { return w.shop.ChangeCartLine(context.Background(), req) },
	}
	have := w.model.of(req.GetBuyerId())
	before, ok := have[req.GetSku()]
	if !ok {
		c.want = refused("CART_LINE_NOT_FOUND")
		return c
	}
	after := line{quantity: req.GetQuantity(), selected: before.selected}
	have[req.GetSku()] = after
	c.want.message = &cartv1.ChangeCartLineResponse{Item: item(req.GetSku(), after)}
	return c
}

func (w *walk) remove(t *rapid.T) call {
	req := &cartv1.RemoveCartLinesRequest{
		RequestId: w.request(),
		BuyerId:   w.buyer(t),
		Skus:      rapid.SliceOfNDistinct(rapid.SampledFrom(modelSKUs), 1, 3, rapid.ID).Draw(t, "SKUs"),
	}
	for _, sku := range req.GetSkus() {
		delete(w.model.of(req.GetBuyerId()), sku)
	}
	return call{
		name: "remove " + req.String(), want: answer{message: &cartv1.RemoveCartLinesResponse{}},
		make: func() (proto.Message, error) { return w.shop.RemoveCartLines(context.Background(), req) },
	}
}

func (w *walk) sel(t *rapid.T) call {
	req := &cartv1.SelectCartLinesRequest{
		RequestId: w.request(),
		BuyerId:   w.buyer(t),
		Skus:      rapid.SliceOfNDistinct(rapid.SampledFrom(modelSKUs), 0, 3, rapid.ID).Draw(t, "SKUs"),
		Selected:  rapid.Bool().Draw(t, "selected"),
	}
	have := w.model.of(req.GetBuyerId())
	named := req.GetSkus()
	if len(named) == 0 {
		named = modelSKUs
	}
	for _, sku := range named {
		if l, ok := have[sku]; ok {
			have[sku] = line{quantity: l.quantity, selected: req.GetSelected()}
		}
	}
	return call{
		name: "select " + req.String(), want: answer{message: &cartv1.SelectCartLinesResponse{}},
		make: func() (proto.Message, error) { return w.shop.SelectCartLines(context.Background(), req) },
	}
}

func (w *walk) merge(t *rapid.T) call {
	kind := rapid.SampledFrom([]string{"guest", "guest", "guest", "buyer"}).Draw(t, "token of a")
	guest := w.buyer(t)
	req := &cartv1.MergeCartRequest{RequestId: w.request(), BuyerId: w.buyer(t), GuestToken: kind + ":" + guest}
	c := call{
		name: "merge " + req.String(),
		make: func() (proto.Message, error) { return w.shop.MergeCart(context.Background(), req) },
	}
	if kind != "guest" {
		c.want = refused("GUEST_TOKEN_INVALID")
		return c
	}
	want := &cartv1.MergeCartResponse{}
	if guest != req.GetBuyerId() {
		own := w.model.of(req.GetBuyerId())
		for sku, l := range w.model.of(guest) {
			own[sku] = line{quantity: min(own[sku].quantity+l.quantity, 9999), selected: own[sku].selected || l.selected}
			want.MergedLines++
		}
		w.model[guest] = nil
	}
	c.want.message = want
	return c
}

// order takes lines out of a cart as placing does. It is no request of the cart's.
func (w *walk) order(t *rapid.T) error {
	ordered := cart.Ordered{
		BuyerID: w.buyer(t),
		SKUs:    rapid.SliceOfNDistinct(rapid.SampledFrom(modelSKUs), 1, 3, rapid.ID).Draw(t, "SKUs"),
	}
	for _, sku := range ordered.SKUs {
		delete(w.model.of(ordered.BuyerID), sku)
	}
	return database.ExecuteTx(context.Background(), w.shop.pool, func(tx *database.Tx) error {
		var b pgx.Batch
		cart.RemoveOrdered(&b, []cart.Ordered{ordered})
		return tx.SendBatch(context.Background(), &b).Close()
	})
}

// check makes a call and compares its answer.
func check(t *rapid.T, c call) {
	message, err := c.make()
	got := answer{message: message, reason: rpcerr.Reason(err)}
	if err != nil {
		got.message = nil
	}
	opts := cmp.Options{
		cmp.AllowUnexported(answer{}),
		protocmp.Transform(),
		protocmp.IgnoreFields(&cartv1.CartItem{}, "added_at"),
	}
	if diff := cmp.Diff(c.want, got, opts); diff != "" {
		t.Fatalf("%s answered (-want +got):\n%s%v", c.name, diff, err)
	}
}

// Random calls, late retries of earlier ones among them: every answer and every cart is
// what the model says.
func TestCartsAgainstAModel(t *testing.T) {
	s := newShop(t, "A", "B", "C", "OFF")
	walks := 0
	rapid.Check(t, func(t *rapid.T) {
		walks++
		w := &walk{shop: s, prefix: fmt.Sprintf("%d-", walks), model: model{}}
		kinds := []func(*rapid.T) call{w.add, w.add, w.add, w.change, w.remove, w.sel, w.merge}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch kind := rapid.IntRange(0, len(kinds)+2).Draw(t, "kind"); {
			case kind < len(kinds):
				c := kinds[kind](t)
				check(t, c)
				// What was refused is not stored: the same id may be tried again,
				// and may then be taken.
				if c.want.reason == "" {
					w.done = append(w.done, c)
				}
			case kind == len(kinds):
				if err := w.order(t); err != nil {
					t.Fatal(err)
				}
			case len(w.done) > 0:
				check(t, rapid.SampledFrom(w.done).Draw(t, "retry"))
			}
		}
		for _, name := range []string{"ann", "guest", "tab"} {
			buyer := w.prefix + name
			got := map[string]line{}
			answer, err := s.GetCart(context.Background(), &cartv1.GetCartRequest{BuyerId: buyer})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range answer.GetLines() {
				got[l.GetItem().GetSku()] = line{quantity: l.GetItem().GetQuantity(), selected: l.GetItem().GetSelected()}
			}
			if diff := cmp.Diff(w.model.of(buyer), got, cmp.AllowUnexported(line{})); diff != "" {
				t.Fatalf("%s's cart (-want +got):\n%s", buyer, diff)
			}
		}
	})
}

// A retry that comes while the first is under way waits for it.
func TestRetriesAtTheSameTime(t *testing.T) {
	s := newShop(t, "A")
	const retries = 20
	done := make(chan error, retries)
	for range retries {
		go func() {
			_, err := s.AddCartLine(context.Background(),
				&cartv1.AddCartLineRequest{RequestId: "once", BuyerId: "ann", Sku: "A", Quantity: 3})
			done <- err
		}()
	}
	deadline := time.After(time.Minute)
	for range retries {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-deadline:
			t.Fatal("a retry did not end")
		}
	}
	s.want("ann", map[string]string{"A": "3"})
}
