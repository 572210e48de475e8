package payment_test

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestListPayments(t *testing.T) {
	s := newShop(t)
	s.sell(10)
	ctx := context.Background()
	o, other := s.place("ann", 1), s.place("ann", 1)
	list := func(buyer, order string) ([]*paymentv1.Payment, error) {
		answer, err := s.service.ListPayments(ctx, &paymentv1.ListPaymentsRequest{BuyerId: buyer, OrderId: order})
		return answer.GetPayments(), err
	}
	if none, err := list("ann", o.GetOrderId()); err != nil || len(none) > 0 {
		t.Fatalf("before the first payment: %v, %v", none, err)
	}
	s.charge(other)
	first := s.charge(o)
	s.clock.advance(time.Second)
	second := s.charge(o)
	s.pay(second.GetRedirectUrl())
	got, err := list("ann", o.GetOrderId())
	if err != nil {
		t.Fatal(err)
	}
	want := []*paymentv1.Payment{
		s.payment("ann", second.GetPayment().GetPaymentId()), s.payment("ann", first.GetPayment().GetPaymentId()),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("newest first (-want +got):\n%s", diff)
	}
	if p := got[0]; p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_SUCCEEDED || p.GetProvider() == "" ||
		p.GetMethod() == "" || !p.GetExpiresAt().AsTime().Equal(o.GetExpiresAt().AsTime()) {
		t.Errorf("the payment that counts is listed as %v; the order's time ends at %v", p, o.GetExpiresAt().AsTime())
	}
	for buyer, order := range map[string]string{"bob": o.GetOrderId(), "ann": uuid.NewString()} {
		_, err := list(buyer, order)
		if connect.CodeOf(err) != connect.CodeNotFound || rpcerr.Reason(err) != "ORDER_NOT_FOUND" {
			t.Errorf("%s, order %s: %v", buyer, order, err)
		}
	}
}
