package order_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// as is a call by a buyer, a guest or a service.
func as(role accessv1.Role, guest bool) context.Context {
	roles := auth.RolesOf(role)
	return auth.WithCaller(context.Background(), auth.Caller{Subject: "caller", Roles: roles, Acting: roles, Guest: guest})
}

// tryOrder is what became of an order: its id, or which limit it breaks.
func tryOrder(
	ctx context.Context, t *testing.T, service *order.Service, request, buyer string, units int64,
) (id, limit string) {
	t.Helper()
	answer, err := service.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: request, BuyerId: buyer, Lines: []*orderv1.PlaceOrderLine{line("tea", units)},
	})
	switch {
	case err == nil:
		return answer.GetOrder().GetOrderId(), ""
	case rpcerr.Reason(err) == "TOO_MANY_UNPAID":
		return "", rpcerr.Metadata(err)["limit"]
	default:
		t.Errorf("%s of %s: %v", request, buyer, err)
		return "", ""
	}
}

// Every way out of being unpaid makes room for another order, and a refused request can be repeated.
func TestUnpaidOrdersAreLimitedUntilTheyAreNot(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 1000); err != nil {
		t.Fatal(err)
	}
	service := s.limitedPod(t, order.ServiceOptions{Limits: order.Limits{Orders: 2, Units: 10}})
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, id uuid.UUID)
	}{
		{"cancelled", func(t *testing.T, id uuid.UUID) {
			t.Helper()
			_, err := service.CancelOrder(t.Context(),
				&orderv1.CancelOrderRequest{RequestId: "cancel", BuyerId: "cancelled", OrderId: id.String()})
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"paid", func(t *testing.T, id uuid.UUID) {
			t.Helper()
			s.paid(t, id)
		}},
		{"expired", func(t *testing.T, id uuid.UUID) {
			t.Helper()
			if err := s.store.Expire(t.Context(), []uuid.UUID{id}, s.now.Add(2*journeyTimeout)); err != nil {
				t.Fatal(err)
			}
		}},
		{"cancelled, and paid late", func(t *testing.T, id uuid.UUID) {
			t.Helper()
			if err := s.store.Expire(t.Context(), []uuid.UUID{id}, s.now.Add(2*journeyTimeout)); err != nil {
				t.Fatal(err)
			}
			s.paid(t, id)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, buyer := as(accessv1.Role_ROLE_BUYER, false), tt.name
			first, _ := tryOrder(ctx, t, service, "r1", buyer, 6)
			if _, limit := tryOrder(ctx, t, service, "r2", buyer, 5); limit != "reservedUnits" {
				t.Errorf("11 of 10 units: refused for %q", limit)
			}
			if id, _ := tryOrder(ctx, t, service, "r3", buyer, 4); id == "" {
				t.Error("10 of 10 units were refused")
			}
			if _, limit := tryOrder(ctx, t, service, "r4", buyer, 1); limit != "unpaidOrders" {
				t.Errorf("3 of 2 orders: refused for %q", limit)
			}
			if again, limit := tryOrder(ctx, t, service, "r1", buyer, 6); again != first {
				t.Errorf("the first request again: %q, refused for %q; want %s", again, limit, first)
			}
			if id, _ := tryOrder(ctx, t, service, "r1", "another", 6); id == "" && tt.name == "cancelled" {
				t.Error("another buyer was refused")
			}
			tt.end(t, uuid.MustParse(first))
			if id, limit := tryOrder(ctx, t, service, "r4", buyer, 6); id == "" {
				t.Errorf("the refused request again, once there is room: refused for %q", limit)
			}
		})
	}
}

// Orders of a promotion are bounded by its limitPerBuyer: neither when they are written nor when
// they end do they change what else a buyer may order.
func TestFlashOrdersDoNotCount(t *testing.T) {
	s := newLaneShop(t)
	if err := s.stocked("tea", 10); err != nil {
		t.Fatal(err)
	}
	service := s.limitedPod(t, order.ServiceOptions{Limits: order.Limits{Orders: 1, Units: 2}})
	s.materialize(t)
	ctx := as(accessv1.Role_ROLE_BUYER, false)
	if id, limit := tryOrder(ctx, t, service, "r1", "ann", 2); id == "" {
		t.Errorf("beside a flash order: refused for %q", limit)
	}
	if err := s.store.Expire(ctx, []uuid.UUID{s.id}, s.now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, limit := tryOrder(ctx, t, service, "r2", "ann", 1); limit != "unpaidOrders" {
		t.Errorf("after the flash order has expired: refused for %q", limit)
	}
}

// An order that was placed before anything was counted takes nothing from what was counted since.
func TestWhatWasNeverCounted(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 10); err != nil {
		t.Fatal(err)
	}
	id, _ := tryOrder(t.Context(), t, s.service, "r1", "ann", 3)
	if _, err := s.pool.Exec(t.Context(), "DELETE FROM order_buyers"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), "INSERT INTO order_buyers (buyer_id, orders, units) VALUES ('ann', 0, 1)"); err != nil {
		t.Fatal(err)
	}
	s.paid(t, uuid.MustParse(id))
	if got := s.count(t, "order_buyers WHERE orders = 0 AND units = 0"); got != 1 {
		t.Error("less than nothing is unpaid")
	}
}

func TestLimitsOfGuests(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 1000); err != nil {
		t.Fatal(err)
	}
	service := s.limitedPod(t, order.ServiceOptions{
		Limits: order.Limits{Orders: 4, Units: 40}, GuestLimits: order.Limits{Orders: 2, Units: 10},
	})
	const buyer, backend = accessv1.Role_ROLE_BUYER, accessv1.Role_ROLE_CHECKOUT
	type facts struct {
		Orders int
		Limit  string
	}
	for _, tt := range []struct {
		name    string
		callers []context.Context
		units   int64
		want    facts
	}{
		{"a buyer", []context.Context{as(buyer, false)}, 1, facts{4, "unpaidOrders"}},
		{"a guest", []context.Context{as(buyer, true)}, 1, facts{2, "unpaidOrders"}},
		{"a guest who wants much", []context.Context{as(buyer, true)}, 11, facts{0, "reservedUnits"}},
		{"a backend", []context.Context{as(backend, false)}, 1, facts{4, "unpaidOrders"}},
		{"a backend and the buyer", []context.Context{as(backend, false), as(buyer, false)}, 1, facts{4, "unpaidOrders"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got facts
			for n := 0; got.Limit == "" && n < 10; n++ {
				var id string
				id, got.Limit = tryOrder(tt.callers[n%len(tt.callers)], t, service, fmt.Sprint("r", n), tt.name, tt.units)
				if id != "" {
					got.Orders++
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("placed, and refused for (-want +got):\n%s", diff)
			}
		})
	}
}

// Many pods place orders of the same buyers at once, some of them twice: exactly so many are placed as
// the limits let, and each request has one answer.
func TestLimitsHoldForOrdersAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits order.Limits
		units  int64
		want   int
	}{
		{"orders", order.Limits{Orders: 3}, 1, 3},
		{"units", order.Limits{Units: 10}, 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			if err := s.stocked("tea", 10_000); err != nil {
				t.Fatal(err)
			}
			var pods []*order.Service
			for _, batch := range []int{0, 7, 1, 1} {
				pods = append(pods, s.limitedPod(t, order.ServiceOptions{MaxBatch: batch, Limits: tt.limits}))
			}
			buyers := []string{"ann", "bob", "eve"}
			var wg sync.WaitGroup
			var mu sync.Mutex
			ids := map[string]string{}
			for n := range 120 {
				wg.Go(func() {
					buyer, request := buyers[n%3], fmt.Sprint("r", n/6)
					id, _ := tryOrder(as(accessv1.Role_ROLE_BUYER, false), t, pods[n%len(pods)], request, buyer, tt.units)
					mu.Lock()
					defer mu.Unlock()
					if before := ids[buyer+request]; id != "" && before != "" && before != id {
						t.Errorf("%s of %s is order %s and %s", request, buyer, before, id)
					}
					if id != "" {
						ids[buyer+request] = id
					}
				})
			}
			wg.Wait()
			for _, buyer := range buyers {
				if got := s.count(t, fmt.Sprintf("orders WHERE buyer_id = '%s'", buyer)); got != tt.want {
					t.Errorf("%d orders of %s, want %d", got, buyer, tt.want)
				}
			}
			s.countsWhatIsUnpaid(t)
		})
	}
}

// countsWhatIsUnpaid fails unless what is counted for each buyer is what the orders say.
func (s *shop) countsWhatIsUnpaid(t fataler) {
	t.Helper()
	const query = `SELECT count(*) FROM order_buyers b FULL JOIN (
			SELECT o.buyer_id, count(DISTINCT o.order_id) AS orders, sum(l.quantity) AS units
			FROM orders o JOIN order_lines l ON l.order_id = o.order_id
			WHERE o.state = 'PENDING_PAYMENT' AND o.promotion_uid = '' AND o.total > 0 GROUP BY o.buyer_id
		) AS u ON u.buyer_id = b.buyer_id
		WHERE COALESCE(b.orders, 0) <> COALESCE(u.orders, 0) OR COALESCE(b.units, 0) <> COALESCE(u.units, 0)`
	var wrong int
	err := s.pool.QueryRow(context.Background(), query).Scan(&wrong)
	if err != nil || wrong > 0 {
		t.Fatalf("what is counted for %d buyers is not what they have not paid: %v", wrong, err)
	}
}

// What is refused leaves nothing behind, also among others that are placed.
func TestARefusedOrderLeavesNothing(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 1000); err != nil {
		t.Fatal(err)
	}
	service := s.limitedPod(t, order.ServiceOptions{Limits: order.Limits{Units: 1}})
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			id, _ := tryOrder(context.Background(), t, service, "r", fmt.Sprint("b", n), int64(1+n%2))
			if (id == "") != (n%2 == 1) {
				t.Errorf("order %d: %q", n, id)
			}
		})
	}
	wg.Wait()
	got := map[string]int{}
	for _, table := range []string{"orders", "requests", "order_lines", "stock_movements WHERE kind = 'RESERVE'"} {
		got[table] = s.count(t, table)
	}
	want := map[string]int{"orders": 20, "requests": 20, "order_lines": 20, "stock_movements WHERE kind = 'RESERVE'": 20}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	s.countsWhatIsUnpaid(t)
}

func TestBuyersHearOfAFewUnitsOnly(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 50); err != nil {
		t.Fatal(err)
	}
	for role, want := range map[accessv1.Role]int64{accessv1.Role_ROLE_BUYER: 10, accessv1.Role_ROLE_CHECKOUT: 50} {
		_, err := s.service.PlaceOrder(as(role, false), &orderv1.PlaceOrderRequest{
			RequestId: "r", BuyerId: "ann", Lines: []*orderv1.PlaceOrderLine{line("tea", 60)},
		})
		got, _ := rpcerr.Detail[*orderv1.StockShortage](err)
		wanted := &orderv1.StockShortage{Lines: []*orderv1.ShortLine{{Sku: "tea", Wanted: 60, Left: want}}}
		if !proto.Equal(got, wanted) {
			t.Errorf("%s hears of %v, want %v", role, got, wanted)
		}
	}
}
