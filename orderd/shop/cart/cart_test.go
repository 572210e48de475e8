package cart_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/testing/protocmp"

	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/cart"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// guests takes "guest:<name>" for a guest's token, "buyer:<name>" for a signed-in buyer's.
type guests struct{ err error }

func (g guests) Verify(_ context.Context, token string) (string, bool, error) {
	kind, name, found := strings.Cut(token, ":")
	if g.err != nil || !found {
		return "", false, errors.Join(g.err, errors.New("no token"))
	}
	return name, kind == "guest", nil
}

type shop struct {
	*testing.T
	pool *pgxpool.Pool
	*cart.Service
}

func newShop(t *testing.T, skus ...string) *shop {
	pool := testdb.NewPool(t)
	goods := catalog.NewService(catalog.Options{Pool: pool, Clock: time.Now})
	for _, sku := range skus {
		_, err := goods.UpsertSku(context.Background(), &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku:    sku,
			Title:  "Title of " + sku,
			Price:  &moneyv1.Money{Amount: 100, Currency: "CNY"},
			OnSale: !strings.HasPrefix(sku, "OFF"),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return &shop{T: t, pool: pool, Service: cart.NewService(cart.Options{Pool: pool, Guests: guests{}, Clock: time.Now})}
}

func (s *shop) put(buyer, sku string, quantity int64) {
	s.Helper()
	_, err := s.AddCartLine(context.Background(), &cartv1.AddCartLineRequest{
		RequestId: fmt.Sprintf("put-%s-%d", sku, quantity), BuyerId: buyer, Sku: sku, Quantity: quantity,
	})
	if err != nil {
		s.Fatal(err)
	}
}

// lines of a cart as "quantity" or "(quantity)" if not selected, by SKU.
func (s *shop) lines(buyer string) map[string]string {
	s.Helper()
	got, err := s.GetCart(context.Background(), &cartv1.GetCartRequest{BuyerId: buyer})
	if err != nil {
		s.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range got.GetLines() {
		text := fmt.Sprint(l.GetItem().GetQuantity())
		if !l.GetItem().GetSelected() {
			text = "(" + text + ")"
		}
		out[l.GetItem().GetSku()] = text
	}
	return out
}

func (s *shop) want(buyer string, want map[string]string) {
	s.Helper()
	if diff := cmp.Diff(want, s.lines(buyer)); diff != "" {
		s.Errorf("%s's cart (-want +got):\n%s", buyer, diff)
	}
}

func TestCart(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, "A", "B", "C", "OFF")
	s.put("ann", "A", 1)
	s.put("ann", "A", 2)
	// The same request again.
	s.put("ann", "A", 2)
	s.put("ann", "B", 5)
	s.put("bob", "A", 9)
	s.want("ann", map[string]string{"A": "3", "B": "5"})

	_, err := s.AddCartLine(ctx, &cartv1.AddCartLineRequest{RequestId: "r1", BuyerId: "ann", Sku: "NONE", Quantity: 1})
	wantReason(t, err, "SKU_NOT_FOUND")
	_, err = s.AddCartLine(ctx, &cartv1.AddCartLineRequest{RequestId: "r1", BuyerId: "ann", Sku: "OFF", Quantity: 1})
	wantReason(t, err, "SKU_NOT_ON_SALE")
	_, err = s.AddCartLine(ctx, &cartv1.AddCartLineRequest{RequestId: "r1", BuyerId: "ann", Sku: "A", Quantity: 9997})
	wantReason(t, err, "QUANTITY_TOO_LARGE")
	_, err = s.ChangeCartLine(ctx, &cartv1.ChangeCartLineRequest{RequestId: "r1", BuyerId: "ann", Sku: "C", Quantity: 1})
	wantReason(t, err, "CART_LINE_NOT_FOUND")

	changed, err := s.ChangeCartLine(ctx,
		&cartv1.ChangeCartLineRequest{RequestId: "r2", BuyerId: "ann", Sku: "A", Quantity: 7})
	if err != nil || changed.GetItem().GetQuantity() != 7 {
		t.Fatalf("changed to 7: %v, %v", changed, err)
	}
	if _, err := s.SelectCartLines(ctx,
		&cartv1.SelectCartLinesRequest{RequestId: "r3", BuyerId: "ann", Skus: []string{"A", "C"}}); err != nil {
		t.Fatal(err)
	}
	s.want("ann", map[string]string{"A": "(7)", "B": "5"})
	if _, err := s.SelectCartLines(ctx,
		&cartv1.SelectCartLinesRequest{RequestId: "r4", BuyerId: "ann", Selected: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveCartLines(ctx,
		&cartv1.RemoveCartLinesRequest{RequestId: "r5", BuyerId: "ann", Skus: []string{"B", "C"}}); err != nil {
		t.Fatal(err)
	}
	s.want("ann", map[string]string{"A": "7"})
	s.put("ann", "B", 1)
	// A late retry of the removal does not remove what was added since.
	if _, err := s.RemoveCartLines(ctx,
		&cartv1.RemoveCartLinesRequest{RequestId: "r5", BuyerId: "ann", Skus: []string{"B", "C"}}); err != nil {
		t.Fatal(err)
	}
	s.want("ann", map[string]string{"A": "7", "B": "1"})
	s.want("bob", map[string]string{"A": "9"})
}

func TestCartShowsTheCatalogOfNow(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, "A", "B")
	goods := catalog.NewService(catalog.Options{Pool: s.pool, Clock: time.Now})
	if _, err := goods.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "s", Sku: "A", Delta: 1}); err != nil {
		t.Fatal(err)
	}
	s.put("ann", "A", 1)
	s.put("ann", "B", 1)
	_, err := goods.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{
		Sku: &catalogv1.Sku{Sku: "B", Title: "New", Price: &moneyv1.Money{Amount: 7, Currency: "CNY"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.GetCart(ctx, &cartv1.GetCartRequest{BuyerId: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	want := &cartv1.GetCartResponse{Lines: []*cartv1.CartLine{
		{
			Item:  &cartv1.CartItem{Sku: "B", Quantity: 1, Selected: true},
			Title: "New",
			Price: &moneyv1.Money{Amount: 7, Currency: "CNY"},
		},
		{
			Item:    &cartv1.CartItem{Sku: "A", Quantity: 1, Selected: true},
			Title:   "Title of A",
			Price:   &moneyv1.Money{Amount: 100, Currency: "CNY"},
			OnSale:  true,
			InStock: true,
		},
	}}
	byTime := protocmp.SortRepeated(
		func(a, b *cartv1.CartLine) bool { return a.GetItem().GetSku() > b.GetItem().GetSku() },
	)
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(&cartv1.CartItem{}, "added_at"),
		byTime); diff != "" {
		t.Errorf("cart (-want +got):\n%s", diff)
	}
}

func TestACartIsBoundedUnderConcurrency(t *testing.T) {
	const wanted = 110
	skus := make([]string, wanted)
	for i := range skus {
		skus[i] = fmt.Sprintf("S-%03d", i)
	}
	s := newShop(t, skus...)
	var wg sync.WaitGroup
	var mu sync.Mutex
	full := 0
	for _, sku := range skus {
		wg.Go(func() {
			_, err := s.AddCartLine(context.Background(),
				&cartv1.AddCartLineRequest{RequestId: sku, BuyerId: "ann", Sku: sku, Quantity: 1})
			if err == nil {
				return
			}
			wantReason(t, err, "CART_FULL")
			mu.Lock()
			defer mu.Unlock()
			full++
		})
	}
	wg.Wait()
	if got := len(s.lines("ann")); got != 100 || full != wanted-100 {
		t.Errorf("%d lines and %d refusals, want 100 and %d", got, full, wanted-100)
	}
}

func TestMergeIsMadeOnce(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, "A", "B", "C")
	s.put("ann", "A", 1)
	s.put("g1", "A", 2)
	s.put("g1", "B", 3)
	merge := func(id, token string) (*cartv1.MergeCartResponse, error) {
		return s.MergeCart(ctx, &cartv1.MergeCartRequest{RequestId: id, BuyerId: "ann", GuestToken: token})
	}
	var wg sync.WaitGroup
	const retries = 10
	answers := make([]*cartv1.MergeCartResponse, retries)
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = merge("m1", "guest:g1"); err != nil {
				t.Errorf("merging: %v", err)
			}
		})
	}
	// The same guest's cart by other requests, as from a second tab: the units move once.
	for i := range 5 {
		wg.Go(func() {
			if _, err := merge(fmt.Sprintf("tab-%d", i), "guest:g1"); err != nil {
				t.Errorf("merging in another tab: %v", err)
			}
		})
	}
	wg.Wait()
	for _, answer := range answers[1:] {
		if diff := cmp.Diff(answers[0], answer, protocmp.Transform()); diff != "" {
			t.Errorf("two answers to the same request:\n%s", diff)
		}
	}
	s.want("ann", map[string]string{"A": "3", "B": "3"})
	s.want("g1", map[string]string{})

	_, err := merge("m2", "buyer:bob")
	wantReason(t, err, "GUEST_TOKEN_INVALID")
	_, err = merge("m2", "rubbish")
	wantReason(t, err, "GUEST_TOKEN_INVALID")
	// What a retry asks again was answered while the token was good.
	s.Service = cart.NewService(cart.Options{Pool: s.pool, Guests: guests{err: errors.New("expired")}, Clock: time.Now})
	if got, err := merge("tab-0", "guest:g1"); err != nil {
		t.Errorf("a retry after the token's end: %v, %v", got, err)
	}
	away := rpcerr.Retry(connect.CodeUnavailable, "KEYS_UNAVAILABLE", "no keys", time.Second)
	s.Service = cart.NewService(cart.Options{Pool: s.pool, Guests: guests{err: away}, Clock: time.Now})
	_, err = merge("m3", "guest:g1")
	wantReason(t, err, "KEYS_UNAVAILABLE")
}

func TestMergesBothWaysDoNotLoseUnits(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, "A", "B")
	const rounds = 10
	for i := range rounds {
		s.put(fmt.Sprintf("x%d", i), "A", 1)
		s.put(fmt.Sprintf("y%d", i), "B", 1)
	}
	var wg sync.WaitGroup
	for i := range rounds {
		x, y := fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)
		for _, pair := range [][2]string{{x, y}, {y, x}} {
			wg.Go(func() {
				_, err := s.MergeCart(ctx,
					&cartv1.MergeCartRequest{RequestId: "m", BuyerId: pair[0], GuestToken: "guest:" + pair[1]})
				if err != nil {
					t.Errorf("merging %v: %v", pair, err)
				}
			})
		}
		wg.Go(func() {
			_, err := s.AddCartLine(ctx, &cartv1.AddCartLineRequest{RequestId: "more", BuyerId: x, Sku: "A", Quantity: 1})
			if err != nil {
				t.Errorf("adding: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range rounds {
		var sum [2]int64
		for _, buyer := range []string{fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)} {
			got, err := s.GetCart(ctx, &cartv1.GetCartRequest{BuyerId: buyer})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range got.GetLines() {
				sum[strings.Index("AB", l.GetItem().GetSku())] += l.GetItem().GetQuantity()
			}
		}
		if sum != [2]int64{2, 1} {
			t.Errorf("pair %d has %v units of A and B, want 2 and 1", i, sum)
		}
	}
}

func TestOrderedLinesLeaveTheCarts(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, "A", "B", "C")
	for _, buyer := range []string{"ann", "bob", "cid"} {
		for _, sku := range []string{"A", "B", "C"} {
			s.put(buyer, sku, 2)
		}
	}
	remove := func(ordered ...cart.Ordered) error {
		return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
			var b pgx.Batch
			cart.RemoveOrdered(&b, ordered)
			if b.Len() > 1 {
				t.Errorf("%d statements", b.Len())
			}
			return tx.SendBatch(ctx, &b).Close()
		})
	}
	if err := remove(cart.Ordered{BuyerID: "bob", SKUs: []string{"C", "A", "NONE"}},
		cart.Ordered{BuyerID: "ann", SKUs: []string{"B"}}, cart.Ordered{BuyerID: "dan", SKUs: []string{"A"}}); err != nil {
		t.Fatal(err)
	}
	if err := remove(cart.Ordered{BuyerID: "cid"}); err != nil {
		t.Fatal(err)
	}
	s.want("ann", map[string]string{"A": "2", "C": "2"})
	s.want("bob", map[string]string{"B": "2"})
	s.want("cid", map[string]string{"A": "2", "B": "2", "C": "2"})
}

// An order that is being placed and a buyer who adds more: what was ordered does not come back,
// whoever comes first.
func TestAddingWhileItIsOrdered(t *testing.T) {
	ctx := context.Background()
	s := newShop(t, "A")
	const buyers = 30
	var wg sync.WaitGroup
	for i := range buyers {
		buyer := fmt.Sprintf("b%d", i)
		s.put(buyer, "A", 5)
		wg.Go(func() {
			err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
				var b pgx.Batch
				cart.RemoveOrdered(&b, []cart.Ordered{{BuyerID: buyer, SKUs: []string{"A"}}})
				return tx.SendBatch(ctx, &b).Close()
			})
			if err != nil {
				t.Errorf("ordering: %v", err)
			}
		})
		wg.Go(func() {
			_, err := s.AddCartLine(ctx, &cartv1.AddCartLineRequest{RequestId: "more", BuyerId: buyer, Sku: "A", Quantity: 1})
			if err != nil {
				t.Errorf("adding: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range buyers {
		if got := s.lines(fmt.Sprintf("b%d", i))["A"]; got != "" && got != "1" {
			t.Errorf("buyer %d has %s of A, want none or the one that was added after the order", i, got)
		}
	}
}

func wantReason(t *testing.T, err error, want string) {
	t.Helper()
	if got := rpcerr.Reason(err); got != want {
		t.Errorf("got %v (%s), want %s", err, got, want)
	}
}
