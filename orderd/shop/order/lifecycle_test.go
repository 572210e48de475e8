package order

import (
	"errors"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	states := []State{"", PendingPayment, Paid, Shipped, Delivered, Completed, Cancelled}
	events := []Event{
		Place,
		Pay,
		PayLate,
		Cancel,
		Expire,
		SetDelivery,
		Ship,
		Arrive,
		Deliver,
		Confirm,
		Complete,
		GrantRefund,
		Withdraw,
		Refund,
	}
	want := map[State]map[Event]State{
		"":             {Place: PendingPayment},
		PendingPayment: {Pay: Paid, Cancel: Cancelled, Expire: Cancelled, SetDelivery: PendingPayment},
		Paid: {
			Cancel:      Cancelled,
			SetDelivery: Paid,
			Ship:        Shipped,
			GrantRefund: Paid,
			Withdraw:    Cancelled,
			Refund:      Paid,
		},
		Shipped: {
			Ship:        Shipped,
			Arrive:      Shipped,
			Deliver:     Delivered,
			Confirm:     Completed,
			GrantRefund: Shipped,
			Refund:      Shipped,
		},
		Delivered: {
			Arrive:      Delivered,
			Confirm:     Completed,
			Complete:    Completed,
			GrantRefund: Delivered,
			Refund:      Delivered,
		},
		Completed: {GrantRefund: Completed, Refund: Completed},
		Cancelled: {PayLate: Paid, Refund: Cancelled},
	}
	for _, from := range states {
		for _, event := range events {
			got, err := transitions.Next(from, event)
			to, allowed := want[from][event]
			var refused *lifecycle.RefusedError
			if allowed && (err != nil || got != to) {
				t.Errorf("%s in %q: %q, %v; want %q", event, from, got, err, to)
			}
			if !allowed && !errors.As(err, &refused) {
				t.Errorf("%s in %q: %q, %v; want a refusal", event, from, got, err)
			}
		}
	}
}

func TestStatesHaveAName(t *testing.T) {
	for _, events := range transitions {
		for _, to := range events {
			if to.proto() == 0 {
				t.Errorf("%s has no name in the API", to)
			}
		}
	}
}
