package buyers

import (
	"context"
	"sync"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

const (
	// AnswerWithin is how long an app waits for an answer before it sends the request again.
	AnswerWithin = 4 * time.Second
	// patience is how long a buyer goes on trying one request.
	patience = 30 * time.Second
	// shortest and longest delay before a request is repeated whose answer asks for none.
	shortest = 50 * time.Millisecond
	longest  = time.Second
	// lingering is how long after the sale's end the last buyers are given up.
	lingering = 10 * time.Second
)

// Rush is buyers asking for what they want. All fields have to be set.
type Rush struct {
	Sale   Sale
	Ledger *Ledger
	// InFlight is how many buyers are busy at once, at most; others wait for their turn.
	InFlight int
	// As makes calls with the context come from a buyer.
	As func(ctx context.Context, buyer string) context.Context
}

// Run lets everybody come at their moment, to the apps in turn. It returns when the last one has
// left, ten seconds after the sale's end at the latest.
func (r Rush) Run(ctx context.Context, visits []Visit, apps []flashv1connect.FlashServiceClient) {
	ctx, cancel := context.WithDeadline(ctx, r.Sale.End.Add(lingering))
	defer cancel()
	slots := make(chan struct{}, r.InFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, v := range visits {
		if !Wait(ctx, time.Until(v.At)) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			for _, s := range v.Steps {
				r.do(ctx, apps[i%len(apps)], s)
			}
		})
	}
}

// do one step of a buyer, taps and second thoughts included.
func (r Rush) do(ctx context.Context, app flashv1connect.FlashServiceClient, s Step) {
	var wg sync.WaitGroup
	for range s.Taps {
		wg.Go(func() { r.Ask(ctx, app, s.Order) })
	}
	wg.Wait()
	if s.Repeated {
		r.Ask(ctx, app, s.Order)
	}
	if s.Changed {
		r.askChanged(ctx, app, s.Order)
	}
}

// Ask sends the request until there is a final answer, for half a minute at most, and notes each
// answer in the ledger.
func (r Rush) Ask(ctx context.Context, app flashv1connect.FlashServiceClient, o Order) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	retry := Retry{
		Within: AnswerWithin, Shortest: shortest, Longest: longest, Opens: r.Sale.Start,
		Told: func(a Answer, last bool) { r.Ledger.Refused(o, a.Reason, last) },
	}
	// An error is in the ledger already.
	_ = retry.Do(ctx, func(ctx context.Context) error {
		res, err := r.send(ctx, app, o, o.Items)
		if err == nil {
			got := o
			got.ID = res.GetOrderId()
			r.Ledger.Accepted(got, time.Now(), res.GetAcceptedAt().AsTime())
		}
		return err
	})
}

// askChanged repeats the request id with another body, which must be refused if the first was
// accepted.
func (r Rush) askChanged(ctx context.Context, app flashv1connect.FlashServiceClient, o Order) {
	if !r.Ledger.Has(o.Buyer, o.Request) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	items := []audit.Item{{SKU: o.Items[0].SKU, Quantity: o.Items[0].Quantity + 1}}
	if _, err := r.send(ctx, app, o, items); err != nil {
		a := Read(err)
		r.Ledger.Refused(Order{Buyer: o.Buyer, Request: o.Request, Items: items}, a.Reason, !a.Again)
		return
	}
	r.Ledger.Broken("request %s was accepted again with another body", o.Request)
}

// send a request with items that may be others than those that the ledger knows of.
func (r Rush) send(
	ctx context.Context, app flashv1connect.FlashServiceClient, o Order, items []audit.Item,
) (*flashv1.PlaceFlashOrderResponse, error) {
	r.Ledger.Sent(o)
	defer r.Ledger.Done()
	place := o.Place(r.Sale.Promotion)
	place.Items = Items(items)
	return app.PlaceFlashOrder(r.As(ctx, o.Buyer), place)
}
