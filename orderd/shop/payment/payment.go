// Package payment takes buyers' money through payment providers, and gives it back. A provider's
// signed notification, or its answer when it is asked, makes a payment succeed and its order PAID:
// no RPC does. No transaction is open while a provider is called.
package payment

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
)

// Payment is a payment as it is stored. The amount is in the currency's minor unit.
type Payment struct {
	ID, OrderID uuid.UUID
	BuyerID     string
	Provider    string
	// Method is the provider's, and Reference the provider's own id of the session, if it has one.
	Method, Reference string
	State             State
	// Version counts the changes of the state.
	Version     int64
	Amount      int64
	Currency    string
	RedirectURL string
	// TransactionID is the provider's own id of the success.
	TransactionID string
	// Failure is the provider's own code of a failure.
	Failure   string
	CreatedAt time.Time
	// ExpiresAt is when the order can no longer be paid.
	ExpiresAt time.Time
	// SucceededAt is when we learned of the success. PaidAt is when the buyer paid by the
	// provider's clock; nil if the provider does not tell.
	SucceededAt, PaidAt *time.Time
	// NextQueryAt is when the provider is asked next; nil once the payment has ended.
	NextQueryAt *time.Time

	// stored is the version that was read.
	stored int64
}

// open tells whether the buyer may still pay, as far as we know.
func (p *Payment) open() bool { return p.State == Created || p.State == Pending }

// charge is the payment as its provider is told of it.
func (p *Payment) charge() Charge {
	return Charge{
		PaymentID: p.ID, OrderID: p.OrderID, Amount: p.Amount, Currency: p.Currency,
		CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
		Method: p.Method, Reference: p.Reference,
	}
}

func (p *Payment) proto() *paymentv1.Payment {
	out := &paymentv1.Payment{
		PaymentId: p.ID.String(), OrderId: p.OrderID.String(), Provider: p.Provider, Method: p.Method,
		State: p.State.proto(), Amount: money(p.Amount, p.Currency),
		CreatedAt: timestamppb.New(p.CreatedAt), ExpiresAt: timestamppb.New(p.ExpiresAt),
		SucceededAt: pb.Time(p.SucceededAt), TransactionId: p.TransactionID,
	}
	if p.State == Failed {
		out.Failure = p.Failure
	}
	return out
}

func money(amount int64, currency string) *moneyv1.Money {
	return &moneyv1.Money{Amount: amount, Currency: currency}
}

// change is one step of a payment or a refund in its life cycle.
type change struct {
	id            uuid.UUID
	version       int64
	provider      string
	event         Event
	from, to      State
	actor, reason string
	at            time.Time
}

// step takes a payment through an event, in memory.
func step(p *Payment, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(p.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{
		id: p.ID, version: p.Version + 1, provider: p.Provider,
		event: event, from: p.State, to: to, actor: actor, reason: reason, at: at,
	}
	p.State = to
	p.Version++
	if to == Succeeded {
		p.SucceededAt = &at
	}
	if !p.open() {
		p.NextQueryAt = nil
	}
	return c, nil
}
