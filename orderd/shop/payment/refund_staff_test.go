package payment_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

func TestARefusedRefundIsTriedByScheduleAndThenByStaff(t *testing.T) {
	for name, final := range map[string]bool{
		"under the same id": false, "under another id if the provider is done with the first": true,
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.sell(5)
			o := s.cancelled("ann", 1)
			if final {
				s.faults.instead = &payment.RefundStatus{State: payment.RefundFailed, Reason: "ACCOUNT_GONE"}
			}
			s.faults.set(func(call string) error {
				if call == "refund" && !final {
					return &payment.RefusedError{Reason: "NOT_ENOUGH"}
				}
				return nil
			}, nil)
			const tries = 7
			for range 2 * tries {
				s.refund()
				s.clock.advance(25 * time.Hour)
			}
			r := s.onlyRefund(o, failed)
			if got := s.faults.count("refund"); got != tries {
				t.Errorf("tried %d times, want %d", got, tries)
			}
			wantIDs := 1
			if final {
				wantIDs = tries
			}
			if ids := slices.Compact(s.faults.asked); len(ids) != wantIDs {
				t.Errorf("asked as %d ids, want %d", len(ids), wantIDs)
			}
			if r.GetFailure() != "" {
				t.Error("the buyer sees the provider's code")
			}
			s.retryByStaff(t, o, r)
		})
	}
}

func (s *shop) retryByStaff(t *testing.T, o *orderv1.Order, r *paymentv1.Refund) {
	t.Helper()
	ctx := context.Background()
	seen, err := s.service.ListRefunds(ctx, &paymentv1.ListRefundsRequest{State: failed})
	if err != nil || len(seen.GetRefunds()) != 1 || seen.GetRefunds()[0].GetFailure() == "" ||
		seen.GetRefunds()[0].GetFailures() != 7 {
		t.Fatalf("staff sees %v, %v", seen, err)
	}
	s.faults.set(nil, nil)
	s.faults.instead = nil
	req := &paymentv1.RetryRefundRequest{RequestId: "again", RefundId: r.GetRefundId()}
	for range 2 {
		answer, err := s.service.RetryRefund(ctx, req)
		if err != nil || answer.GetRefund().GetState() != requested {
			t.Fatalf("retrying: %v, %v", answer, err)
		}
	}
	s.refund()
	s.onlyRefund(o, refunded)
	_, err = s.service.RetryRefund(ctx, &paymentv1.RetryRefundRequest{RequestId: "once more", RefundId: r.GetRefundId()})
	wantError(t, err, connect.CodeFailedPrecondition, "REFUND_STATE_CONFLICT")
	_, err = s.service.RetryRefund(ctx, &paymentv1.RetryRefundRequest{RequestId: "ghost", RefundId: uuid.NewString()})
	wantError(t, err, connect.CodeNotFound, "REFUND_NOT_FOUND")
}

func TestRefundsOfAStateArePaged(t *testing.T) {
	s := newShop(t)
	s.sell(20)
	var want []string
	for i := range 5 {
		o := s.cancelled(fmt.Sprintf("b%d", i), 1)
		want = append(want, s.refundsOf(o)[0].GetRefundId())
	}
	var got []string
	req := &paymentv1.ListRefundsRequest{State: requested, PageSize: 2}
	for {
		page, err := s.service.ListRefunds(context.Background(), req)
		s.must(err)
		for _, r := range page.GetRefunds() {
			got = append(got, r.GetRefundId())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	_, err := s.service.ListRefunds(context.Background(), &paymentv1.ListRefundsRequest{
		State: requested, PageToken: "nonsense",
	})
	wantError(t, err, connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN")
}
