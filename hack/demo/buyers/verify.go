package buyers

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/hack/demo/shop"
	"github.com/orderd-dev/orderd/orderd/sim/buyers"
)

// listed is how many buyers' order lists are compared with what they know.
const listed = 300

// verify finds every acknowledged order in the database, exactly as it was asked for, and learns what
// became of the requests that had no answer.
func (r *run) verify(ctx context.Context, app flashv1connect.FlashServiceClient, s *shop.Standard) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.plan.MaterializeSeconds)*time.Second)
	defer cancel()
	r.askAgain(ctx, app)
	orders := r.ledger.Orders()
	each(orders, func(o order) {
		if why := r.verifyOne(ctx, s, o); why != "" {
			r.count(func() { r.result.Missing++ })
			r.ledger.Broken("order %s: %s", o.ID, why)
			return
		}
		r.count(func() { r.verified++ })
	})
	r.compareLists(ctx, s, orders)
}

// compareLists reads the lists of those who have requests without an answer, and of some others.
func (r *run) compareLists(ctx context.Context, s *shop.Standard, orders []order) {
	byBuyer := map[string][]order{}
	for _, o := range orders {
		byBuyer[o.Buyer] = append(byBuyer[o.Buyer], o)
	}
	unanswered := map[string][]order{}
	for _, o := range r.ledger.Open() {
		unanswered[o.Buyer] = append(unanswered[o.Buyer], o)
	}
	asked := make([]string, 0, listed+len(unanswered))
	for b := range unanswered {
		asked = append(asked, b)
	}
	for b := range byBuyer {
		if len(asked) >= listed+len(unanswered) {
			break
		}
		if unanswered[b] == nil {
			asked = append(asked, b)
		}
	}
	each(asked, func(b string) {
		if err := r.compareList(ctx, s, b, byBuyer[b], unanswered[b]); err != nil {
			r.ledger.Broken("listing a buyer's orders: %v", err)
		}
	})
}

// askAgain learns from the sale what became of the requests that had no answer: the database may not
// have their orders yet.
func (r *run) askAgain(ctx context.Context, app flashv1connect.FlashServiceClient) {
	each(r.ledger.Open(), func(o order) {
		err := retried(r.as(ctx, o.Buyer), func(ctx context.Context) error {
			res, err := app.GetFlashOrder(ctx, &flashv1.GetFlashOrderRequest{
				Promotion: r.plan.Promotion, BuyerId: o.Buyer, RequestId: o.Request,
			})
			o.ID = res.GetOrderId()
			return err
		})
		switch {
		case err == nil:
			r.ledger.Found(o)
		case connect.CodeOf(err) != connect.CodeNotFound:
			r.ledger.Broken("asking what became of a request: %v", err)
		}
	})
}

// verifyOne waits until the order is in the database; the answer is empty or says what is wrong.
func (r *run) verifyOne(ctx context.Context, s *shop.Standard, o order) string {
	ctx = r.as(ctx, o.Buyer)
	for {
		call, cancel := context.WithTimeout(ctx, buyers.AnswerWithin)
		res, err := s.Orders.GetOrder(call, &orderv1.GetOrderRequest{BuyerId: o.Buyer, OrderId: o.ID})
		cancel()
		state := res.GetOrder().GetState()
		if err == nil && state != orderv1.OrderState_ORDER_STATE_ACCEPTED {
			return r.differs(o, res.GetOrder())
		}
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound && !buyers.Read(err).Again {
			return fmt.Sprintf("asking for it: %v", err)
		}
		if !buyers.Wait(ctx, lookAgain) {
			return fmt.Sprintf("not in the database in time: %s, %v", state, err)
		}
	}
}

// differs says how an order in the database is not what its buyer was told.
func (r *run) differs(o order, got *orderv1.Order) string {
	if got.GetOrderId() != o.ID || got.GetBuyerId() != o.Buyer || got.GetPromotion() != r.plan.Promotion {
		return "another order, buyer or promotion"
	}
	if len(got.GetLines()) != len(o.Items) {
		return fmt.Sprintf("%d lines, want %d", len(got.GetLines()), len(o.Items))
	}
	lines := map[string]*orderv1.OrderLine{}
	for _, line := range got.GetLines() {
		lines[line.GetSku()] = line
	}
	var total int64
	for _, it := range o.Items {
		price := r.price(it.SKU)
		total += price * it.Quantity
		if line := lines[it.SKU]; line.GetQuantity() != it.Quantity || line.GetUnitPrice().GetAmount() != price {
			return fmt.Sprintf("%s: %d for %d each, want %d for %d",
				it.SKU, line.GetQuantity(), line.GetUnitPrice().GetAmount(), it.Quantity, price)
		}
	}
	if got.GetTotal().GetAmount() != total {
		return fmt.Sprintf("total %d, want %d", got.GetTotal().GetAmount(), total)
	}
	return ""
}

func (r *run) price(sku string) int64 {
	for _, it := range r.plan.Items {
		if it.SKU == sku {
			return it.UnitPrice
		}
	}
	return 0
}

// compareList reads all of a buyer's orders, two a page. What the buyer does not know of must be the
// outcome of a request that had no answer.
func (r *run) compareList(ctx context.Context, s *shop.Standard, buyerID string, known, unanswered []order) error {
	ctx = r.as(ctx, buyerID)
	want := map[string]bool{}
	for _, o := range known {
		want[o.ID] = true
	}
	token := ""
	for {
		var res *orderv1.ListOrdersResponse
		err := retried(ctx, func(ctx context.Context) (err error) {
			res, err = s.Orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: buyerID, PageSize: 2, PageToken: token})
			return err
		})
		if err != nil {
			return err
		}
		for _, got := range res.GetOrders() {
			if want[got.GetOrderId()] {
				delete(want, got.GetOrderId())
				continue
			}
			if !r.adopt(got, &unanswered) {
				r.ledger.Broken("order %s is in the database and nobody asked for it", got.GetOrderId())
			}
		}
		if token = res.GetNextPageToken(); token == "" {
			break
		}
	}
	for id := range want {
		r.ledger.Broken("order %s is not in its buyer's list", id)
	}
	return nil
}

// adopt takes an order as the outcome of a request that asked for the same.
func (r *run) adopt(got *orderv1.Order, unanswered *[]order) bool {
	for i, o := range *unanswered {
		o.ID = got.GetOrderId()
		if r.differs(o, got) == "" {
			*unanswered = append((*unanswered)[:i], (*unanswered)[i+1:]...)
			r.ledger.Found(o)
			return true
		}
	}
	return false
}
