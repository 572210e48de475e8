// Package payment takes buyers' money through payment providers. A provider's signed notification, not
// an RPC, is what makes a payment succeed and its order PAID. No transaction is open while a provider
// is called.
package payment

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
)

// Payment is a payment as it is stored. The amount is in the currency's minor unit.
type Payment struct {
	ID, OrderID uuid.UUID
	BuyerID     string
	Provider    string
	State       State
	// Version counts the changes of the state.
	Version     int64
	Amount      int64
	Currency    string
	RedirectURL string
	// TransactionID is the provider's own id of the success.
	TransactionID string
	CreatedAt     time.Time
	SucceededAt   *time.Time

	// stored is the version that was read.
	stored int64
}

func (p *Payment) proto() *paymentv1.Payment {
	out := &paymentv1.Payment{
		PaymentId: p.ID.String(), OrderId: p.OrderID.String(), Provider: p.Provider, State: p.State.proto(),
		Amount: &moneyv1.Money{Amount: p.Amount, Currency: p.Currency}, CreatedAt: timestamppb.New(p.CreatedAt),
	}
	if p.SucceededAt != nil {
		out.SucceededAt = timestamppb.New(*p.SucceededAt)
	}
	return out
}

// change is one payment's step in its life cycle.
type change struct {
	payment       *Payment
	event         Event
	from          State
	actor, reason string
	at            time.Time
}

// step takes a payment through an event, in memory.
func step(p *Payment, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(p.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{payment: p, event: event, from: p.State, actor: actor, reason: reason, at: at}
	p.State = to
	p.Version++
	if to == Succeeded {
		p.SucceededAt = &at
	}
	return c, nil
}

// stamp is a time as precise as the API and the database both keep it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
