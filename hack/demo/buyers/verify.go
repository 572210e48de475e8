package buyers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"golang.org/x/sync/errgroup"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/hack/demo/shop"
)

const (
	// askers look at orders, or pay them, at once.
	askers = 32
	// listed is how many buyers' order lists are compared with what they know.
	listed = 300
	// lookAgain is the delay before asking again for what is not there yet.
	lookAgain = 250 * time.Millisecond
)

// verify finds every acknowledged order in the database, exactly as it was asked for, and learns what
// became of the requests that had no answer.
func (l *ledger) verify(ctx context.Context, app flashv1connect.FlashServiceClient, s *shop.Standard) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.plan.MaterializeSeconds)*time.Second)
	defer cancel()
	l.askAgain(ctx, app)
	orders, open := l.snapshot()
	each(orders, func(o order) {
		if why := l.verifyOne(ctx, s, o); why != "" {
			l.missing(o, why)
			return
		}
		l.verifiedOne()
	})
	byBuyer := map[string][]order{}
	for _, o := range orders {
		byBuyer[o.buyerID] = append(byBuyer[o.buyerID], o)
	}
	unanswered := map[string][]order{}
	for _, o := range open {
		unanswered[o.buyerID] = append(unanswered[o.buyerID], o)
	}
	buyers := make([]string, 0, listed+len(unanswered))
	for b := range unanswered {
		buyers = append(buyers, b)
	}
	for b := range byBuyer {
		if len(buyers) >= listed+len(unanswered) {
			break
		}
		if unanswered[b] == nil {
			buyers = append(buyers, b)
		}
	}
	each(buyers, func(b string) {
		if err := l.compareList(ctx, s, b, byBuyer[b], unanswered[b]); err != nil {
			l.broken("listing a buyer's orders: %v", err)
		}
	})
}

// askAgain learns from the sale what became of the requests that had no answer: the database may not have their orders yet.
func (l *ledger) askAgain(ctx context.Context, app flashv1connect.FlashServiceClient) {
	_, open := l.snapshot()
	each(slices.Collect(maps.Values(open)), func(o order) {
		err := retried(l.as(ctx, o.buyerID), func(ctx context.Context) error {
			res, err := app.GetFlashOrder(ctx, &flashv1.GetFlashOrderRequest{Promotion: l.plan.Promotion, BuyerId: o.buyerID, RequestId: o.requestID})
			o.id = res.GetOrderId()
			return err
		})
		switch {
		case err == nil:
			l.found(o)
		case connect.CodeOf(err) != connect.CodeNotFound:
			l.broken("asking what became of a request: %v", err)
		}
	})
}

// verifyOne waits until the order is in the database; the answer is empty or says what is wrong.
func (l *ledger) verifyOne(ctx context.Context, s *shop.Standard, o order) string {
	ctx = l.as(ctx, o.buyerID)
	for {
		call, cancel := context.WithTimeout(ctx, answerWithin)
		res, err := s.Orders.GetOrder(call, &orderv1.GetOrderRequest{BuyerId: o.buyerID, OrderId: o.id})
		cancel()
		state := res.GetOrder().GetState()
		if err == nil && state != orderv1.OrderState_ORDER_STATE_ACCEPTED {
			return l.differs(o, res.GetOrder())
		}
		if err != nil && !comesLater(err) {
			return fmt.Sprintf("asking for it: %v", err)
		}
		if !wait(ctx, lookAgain) {
			return fmt.Sprintf("not in the database in time: %s, %v", state, err)
		}
	}
}

// differs says how an order in the database is not what its buyer was told.
func (l *ledger) differs(o order, got *orderv1.Order) string {
	if got.GetOrderId() != o.id || got.GetBuyerId() != o.buyerID || got.GetPromotion() != l.plan.Promotion {
		return "another order, buyer or promotion"
	}
	if len(got.GetLines()) != len(o.items) {
		return fmt.Sprintf("%d lines, want %d", len(got.GetLines()), len(o.items))
	}
	lines := map[string]*orderv1.OrderLine{}
	for _, line := range got.GetLines() {
		lines[line.GetSku()] = line
	}
	var total int64
	for _, it := range o.items {
		price := l.price(it.GetSku())
		total += price * it.GetQuantity()
		if line := lines[it.GetSku()]; line.GetQuantity() != it.GetQuantity() || line.GetUnitPrice().GetAmount() != price {
			return fmt.Sprintf("%s: %d for %d each, want %d for %d", it.GetSku(), line.GetQuantity(), line.GetUnitPrice().GetAmount(), it.GetQuantity(), price)
		}
	}
	if got.GetTotal().GetAmount() != total {
		return fmt.Sprintf("total %d, want %d", got.GetTotal().GetAmount(), total)
	}
	return ""
}

func (l *ledger) price(sku string) int64 {
	for _, it := range l.plan.Items {
		if it.SKU == sku {
			return it.UnitPrice
		}
	}
	return 0
}

// compareList reads all of a buyer's orders, two a page. What the buyer does not know of must be the
// outcome of a request that had no answer.
func (l *ledger) compareList(ctx context.Context, s *shop.Standard, buyerID string, known, unanswered []order) error {
	ctx = l.as(ctx, buyerID)
	want := map[string]bool{}
	for _, o := range known {
		want[o.id] = true
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
			if !l.adopt(got, &unanswered) {
				l.broken("order %s is in the database and nobody asked for it", got.GetOrderId())
			}
		}
		if token = res.GetNextPageToken(); token == "" {
			break
		}
	}
	for id := range want {
		l.broken("order %s is not in its buyer's list", id)
	}
	return nil
}

// adopt takes an order as the outcome of a request that asked for the same.
func (l *ledger) adopt(got *orderv1.Order, unanswered *[]order) bool {
	for i, o := range *unanswered {
		o.id = got.GetOrderId()
		if l.differs(o, got) == "" {
			*unanswered = append((*unanswered)[:i], (*unanswered)[i+1:]...)
			l.found(o)
			return true
		}
	}
	return false
}

// pay pays every order at the sandbox and waits until each is PAID.
func (l *ledger) pay(ctx context.Context, s *shop.Standard) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.plan.PaySeconds)*time.Second)
	defer cancel()
	orders, _ := l.snapshot()
	each(orders, func(o order) {
		if ctx.Err() != nil {
			return
		}
		if err := l.deliver(ctx, s, o); err != nil {
			l.broken("giving order %s its address: %v", o.id, err)
		}
		if err := l.payOne(l.as(ctx, o.buyerID), s, o); err != nil {
			if ctx.Err() == nil {
				l.broken("paying order %s: %v", o.id, err)
			}
			return
		}
		l.paidOne(l.providerOf(o).name)
	})
}

func (l *ledger) payOne(ctx context.Context, s *shop.Standard, o order) error {
	provider := l.providerOf(o)
	var payment *paymentv1.CreatePaymentResponse
	err := retried(ctx, func(ctx context.Context) (err error) {
		payment, err = s.Payments.CreatePayment(ctx, &paymentv1.CreatePaymentRequest{
			RequestId: "pay-" + o.requestID, BuyerId: o.buyerID, OrderId: o.id, Provider: provider.name, Method: provider.method,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("creating the payment at %s: %w", provider.name, err)
	}
	if err := s.PayAt(ctx, provider.page(l.plan.ProvidersURL, payment)); err != nil {
		return err
	}
	for {
		var res *orderv1.GetOrderResponse
		err := retried(ctx, func(ctx context.Context) (err error) {
			res, err = s.Orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: o.buyerID, OrderId: o.id})
			return err
		})
		if err != nil {
			return fmt.Errorf("asking for the order: %w", err)
		}
		if res.GetOrder().GetState() == orderv1.OrderState_ORDER_STATE_PAID {
			return nil
		}
		if !wait(ctx, lookAgain) {
			return fmt.Errorf("still %s: %w", res.GetOrder().GetState(), ctx.Err())
		}
	}
}

// retried calls until the answer is final.
func retried(ctx context.Context, call func(context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, answerWithin)
		err := call(one)
		cancel()
		if err == nil || !transient(err) || !wait(ctx, lookAgain) {
			return err
		}
	}
}

func transient(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded || code == connect.CodeUnknown
}

func comesLater(err error) bool { return connect.CodeOf(err) == connect.CodeNotFound || transient(err) }

// each runs f on all of them, a few at once.
func each[T any](all []T, f func(T)) {
	var g errgroup.Group
	g.SetLimit(askers)
	for _, one := range all {
		g.Go(func() error {
			f(one)
			return nil
		})
	}
	_ = g.Wait() // f reports for itself.
}
