package buyers

import (
	"context"
	"fmt"
	"time"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/hack/demo/shop"
)

// pay pays every order at the sandbox and waits until each is PAID.
func (r *run) pay(ctx context.Context, s *shop.Standard) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.plan.PaySeconds)*time.Second)
	defer cancel()
	each(r.ledger.Orders(), func(o order) {
		if ctx.Err() != nil {
			return
		}
		if err := r.deliver(ctx, s, o); err != nil {
			r.ledger.Broken("giving order %s its address: %v", o.ID, err)
		}
		if err := r.payOne(r.as(ctx, o.Buyer), s, o); err != nil {
			if ctx.Err() == nil {
				r.ledger.Broken("paying order %s: %v", o.ID, err)
			}
			return
		}
		r.count(func() {
			r.result.Paid++
			r.result.PaidBy[r.providerOf(o).name]++
		})
	})
}

func (r *run) payOne(ctx context.Context, s *shop.Standard, o order) error {
	provider := r.providerOf(o)
	var payment *paymentv1.CreatePaymentResponse
	err := retried(ctx, func(ctx context.Context) (err error) {
		payment, err = s.Payments.CreatePayment(ctx, &paymentv1.CreatePaymentRequest{
			RequestId: "pay-" + o.Request, BuyerId: o.Buyer, OrderId: o.ID, Provider: provider.name, Method: provider.method,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("creating the payment at %s: %w", provider.name, err)
	}
	if err := s.PayAt(ctx, provider.page(r.plan.ProvidersURL, payment)); err != nil {
		return err
	}
	paid := func(got *orderv1.Order) bool { return got.GetState() == orderv1.OrderState_ORDER_STATE_PAID }
	return until(ctx, s, o, lookAgain, paid)
}
