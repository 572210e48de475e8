package payment_test

import (
	"context"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
)

// yen takes only its own currency, and needs what a method can need.
func (f *faults) Methods() []payment.Method {
	return append([]payment.Method{{Name: "yen", Title: "Yen", Kind: payment.MethodRedirect, Currencies: []string{"JPY"}}},
		append(f.Provider.Methods(), payment.Method{
			Name: "mini", Title: "In the app", Kind: payment.MethodSDK, Currencies: []string{"CNY"}, NeedsOpenID: true,
			NeedsClientIP: true,
		})...)
}

func TestTheCashierListsWhatFitsTheOrder(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 2)
	ctx := context.Background()
	answer, err := s.service.ListPaymentMethods(ctx, &paymentv1.ListPaymentMethodsRequest{
		BuyerId: "ann", OrderId: o.GetOrderId(),
	})
	s.must(err)
	var got []string
	for _, m := range answer.GetMethods() {
		got = append(got, m.GetProvider()+"/"+m.GetMethod()+"/"+m.GetKind().String())
	}
	want := []string{
		"sandbox/page/METHOD_KIND_REDIRECT", "sandbox/qr/METHOD_KIND_QR", "sandbox/sdk/METHOD_KIND_SDK",
		"sandbox/mini/METHOD_KIND_SDK",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if last := answer.GetMethods()[3]; !last.GetNeedsOpenId() || !last.GetNeedsClientIp() {
		t.Errorf("the app is not told what it needs: %v", last)
	}
	until := s.clock.now().Add(timeToPay)
	if answer.GetAmount().GetAmount() != 2*unitPrice || !answer.GetExpiresAt().AsTime().Equal(until) {
		t.Errorf("to pay: %v until %v", answer.GetAmount(), answer.GetExpiresAt().AsTime())
	}
	_, err = s.service.ListPaymentMethods(ctx, &paymentv1.ListPaymentMethodsRequest{
		BuyerId: "bob", OrderId: o.GetOrderId(),
	})
	wantError(t, err, connect.CodeNotFound, "ORDER_NOT_FOUND")
	s.clock.advance(timeToPay)
	_, err = s.service.ListPaymentMethods(ctx, &paymentv1.ListPaymentMethodsRequest{
		BuyerId: "ann", OrderId: o.GetOrderId(),
	})
	wantError(t, err, connect.CodeFailedPrecondition, "PAYMENT_TIME_OVER")
	_, err = s.service.CreatePayment(ctx, s.request(o))
	wantError(t, err, connect.CodeFailedPrecondition, "PAYMENT_TIME_OVER")
	s.cancel(o)
	_, err = s.service.ListPaymentMethods(ctx, &paymentv1.ListPaymentMethodsRequest{
		BuyerId: "ann", OrderId: o.GetOrderId(),
	})
	wantError(t, err, connect.CodeFailedPrecondition, "ORDER_STATE_CONFLICT")
}

func TestEveryKindOfMethodPays(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	for name, page := range map[string]func(*paymentv1.CreatePaymentResponse) string{
		"":     (*paymentv1.CreatePaymentResponse).GetRedirectUrl,
		"page": (*paymentv1.CreatePaymentResponse).GetRedirectUrl,
		"qr":   (*paymentv1.CreatePaymentResponse).GetQrCode,
		"sdk":  func(a *paymentv1.CreatePaymentResponse) string { return a.GetSdkParams()[sandbox.SDKPayURL] },
	} {
		t.Run(name, func(t *testing.T) {
			o := s.place("ann", 1)
			req := s.request(o)
			req.Method = name
			answer, err := s.service.CreatePayment(context.Background(), req)
			s.must(err)
			again, err := s.service.CreatePayment(context.Background(), req)
			s.must(err)
			if page(again) != page(answer) || answer.GetPayment().GetMethod() == "" {
				t.Errorf("again: %v, want %v", again, answer)
			}
			if status := s.pay(page(answer)); status != http.StatusOK {
				t.Fatalf("paying: %d", status)
			}
			s.wantOrder(o, paid)
		})
	}
}

func TestCreatePaymentRefuses(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	for _, tt := range []struct {
		name   string
		change func(*paymentv1.CreatePaymentRequest)
		code   connect.Code
		reason string
	}{
		{
			"another currency's method", func(r *paymentv1.CreatePaymentRequest) { r.Method = "yen" },
			connect.CodeFailedPrecondition, "METHOD_NOT_OPEN",
		},
		{
			"a method that is not there", func(r *paymentv1.CreatePaymentRequest) { r.Method = "barter" },
			connect.CodeInvalidArgument, "METHOD_UNKNOWN",
		},
		{
			"a provider that is not there", func(r *paymentv1.CreatePaymentRequest) { r.Provider = "barter" },
			connect.CodeInvalidArgument, "PROVIDER_UNKNOWN",
		},
		{
			"no open id", func(r *paymentv1.CreatePaymentRequest) { r.Method = "mini" }, connect.CodeInvalidArgument,
			"FIELD_REQUIRED",
		},
		{
			"no address", func(r *paymentv1.CreatePaymentRequest) { r.Method, r.OpenId = "mini", "o" },
			connect.CodeInvalidArgument, "FIELD_REQUIRED",
		},
	} {
		req := s.request(o)
		tt.change(req)
		_, err := s.service.CreatePayment(context.Background(), req)
		t.Run(tt.name, func(t *testing.T) { wantError(t, err, tt.code, tt.reason) })
	}
	if n := s.count("payments", "true"); n != 0 {
		t.Errorf("%d payments were begun", n)
	}
}

func TestAProviderThatRefusesAPayment(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	req := s.request(o)
	s.faults.set(fail("create", &payment.RefusedError{Reason: "NO_AUTH"}), nil)
	_, err := s.service.CreatePayment(context.Background(), req)
	wantError(t, err, connect.CodeFailedPrecondition, "PROVIDER_REFUSED")
	s.faults.set(nil, nil)
	// The same request is about the same payment, which has failed.
	_, err = s.service.CreatePayment(context.Background(), req)
	wantError(t, err, connect.CodeFailedPrecondition, "PROVIDER_REFUSED")
	if n := s.count("payments", "state = 'FAILED' AND failure = 'NO_AUTH' AND next_query_at IS NULL"); n != 1 {
		t.Errorf("%d payments have failed", n)
	}
	c := s.charge(o)
	s.pay(c.GetRedirectUrl())
	s.wantOrder(o, paid)
	s.faults.set(fail("create", payment.ErrPaid), nil)
	other := s.place("ann", 1)
	_, err = s.service.CreatePayment(context.Background(), s.request(other))
	wantError(t, err, connect.CodeFailedPrecondition, "ALREADY_PAID")
}

func TestAnOrderHasSoManyPayments(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	first := s.request(o)
	if _, err := s.service.CreatePayment(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	for range 49 {
		if _, err := s.service.CreatePayment(context.Background(), s.request(o)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.service.CreatePayment(context.Background(), s.request(o))
	wantError(t, err, connect.CodeResourceExhausted, "TOO_MANY_PAYMENTS")
	// What was made before is answered again.
	if _, err := s.service.CreatePayment(context.Background(), first); err != nil {
		t.Error(err)
	}
	listed, err := s.service.ListPayments(context.Background(),
		&paymentv1.ListPaymentsRequest{BuyerId: "ann", OrderId: o.GetOrderId()})
	if n := len(listed.GetPayments()); err != nil || n != 50 {
		t.Errorf("%d payments, %v, want 50", n, err)
	}
}

func TestAPaymentOfAnOrderThatEndedWhileTheProviderWasCalled(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	s.faults.set(nil, func(call string) error {
		if call == "create" {
			s.cancel(o)
		}
		if call == "close" {
			return errLost
		}
		return nil
	})
	req := s.request(o)
	_, err := s.service.CreatePayment(context.Background(), req)
	wantError(t, err, connect.CodeFailedPrecondition, "ORDER_STATE_CONFLICT")
	// The answer to the call that closes it was lost, so that it is made again.
	s.faults.set(nil, nil)
	_, err = s.service.CreatePayment(context.Background(), req)
	wantError(t, err, connect.CodeFailedPrecondition, "ORDER_STATE_CONFLICT")
	if n := s.count("payments", "state = 'CLOSED'"); n != 1 || s.faults.count("create") != 1 {
		t.Errorf("%d closed after %d calls", n, s.faults.count("create"))
	}
}
