package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

const (
	// patience of the operator and of buyers who want to know, once nothing fails any more.
	patience = 90 * time.Second
	// operatorAttempt is how long a step may take while anything may fail: what hangs is tried again.
	operatorAttempt = 3 * time.Second
	// redelivery is how soon records that a killed worker held come again, instead of after 20 s.
	redelivery = 3 * time.Second
)

// trial is the sale of one seed.
type trial struct {
	w       *world
	plan    *plan
	verbose bool
	start   time.Time

	mu    sync.Mutex
	end   time.Time
	promo *flashv1.Promotion
	calls []audit.Call
	notes []string
	facts audit.Sale
	// tokens of admission, by buyer and items.
	tokens map[string][]string
}

// note something for the failed seed's folder.
func (s *trial) note(format string, args ...any) {
	line := time.Now().UTC().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.notes = append(s.notes, line)
	s.mu.Unlock()
	if s.verbose {
		fmt.Println("   ", line)
	}
}

func (s *trial) record(c audit.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

// operator runs the steps of the sale as it is now, with stock that is added to it.
func (s *trial) operator(added ...sale.Quantity) sale.Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []sale.Quantity
	for _, o := range s.plan.offers {
		item := sale.Quantity{SKU: o.SKU, Quantity: o.Stock}
		for _, t := range s.facts.TopUps {
			if t.SKU == o.SKU {
				item.Quantity += t.Quantity
			}
		}
		for _, more := range added {
			if more.SKU == o.SKU {
				item.Quantity += more.Quantity
			}
		}
		items = append(items, item)
	}
	return sale.Runner{
		Clock: time.Now, Patience: patience, Attempt: operatorAttempt,
		Sale: sale.New(sale.Options{
			Promotion: s.promo, Items: items, Database: sale.Opened(s.w.db.pool), JetStream: sale.Opened(s.w.js),
			Replicas: replicas, Actor: "chaos",
		}),
	}
}

// prepare the sale, and publish it with a window that begins soon.
func (s *trial) prepare(ctx context.Context) error {
	uid := uuid.NewString()
	s.promo = &flashv1.Promotion{
		Uid: uid, Name: fmt.Sprintf("sale-%d-%s", s.plan.seed, uid[:8]), Currency: currency,
		Partitions: int32(s.plan.streams * s.plan.per), Streams: plog.StreamNames(uid, int32(s.plan.streams)),
		PaymentTimeoutMs: s.plan.paymentTimeout.Milliseconds(), AdmissionRequired: s.plan.admission,
	}
	for _, o := range s.plan.offers {
		s.promo.Items = append(s.promo.Items, &flashv1.PromotedItem{
			Sku: o.SKU, UnitPrice: o.Price, LimitPerBuyer: o.Limit, Stream: o.stream,
		})
		fact := o.Offer
		fact.Limit = max(o.Limit, o.raised)
		s.facts.Offers = append(s.facts.Offers, fact)
	}
	s.facts.PaymentTimeout = s.plan.paymentTimeout
	if err := until(ctx, patience, "the SKUs are there", s.stock); err != nil {
		return err
	}
	if err := s.operator().Prepare(ctx); err != nil {
		return err
	}
	if err := until(ctx, patience, "redelivery is quick", s.hurry); err != nil {
		return err
	}
	// Time for the pods to learn of it and take their partitions, as a real sale has, and for
	// buyers who are too early.
	s.start = time.Now().Add(ahead + 700*time.Millisecond)
	if s.plan.early {
		s.start = s.start.Add(early - 600*time.Millisecond)
	}
	s.end = s.start.Add(s.plan.open)
	s.facts.Start, s.facts.End = s.start, s.end
	s.promo.StartUnixMs, s.promo.EndUnixMs, s.promo.Open = s.start.UnixMilli(), s.end.UnixMilli(), true
	s.promo.AdmissionEndUnixMs = s.end.UnixMilli()
	return s.operator().Publish(ctx)
}

// stock puts the items on the shop's shelves.
func (s *trial) stock(ctx context.Context) error {
	shop := catalog.NewService(catalog.Options{Pool: s.w.db.pool, Clock: time.Now})
	return database.ExecuteTx(ctx, s.w.db.pool, func(tx *database.Tx) error {
		var movements []stock.Movement
		for _, o := range s.plan.offers {
			_, err := shop.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
				Sku: o.SKU, Title: o.SKU, Price: &moneyv1.Money{Amount: 2 * o.Price, Currency: currency}, OnSale: true,
			}})
			if err != nil {
				return err
			}
			movements = append(movements, stock.Add("chaos", stock.Quantity{SKU: o.SKU, Quantity: o.Before}))
		}
		return stock.Apply(ctx, tx, movements)
	})
}

// hurry has records of a killed worker come again soon.
func (s *trial) hurry(ctx context.Context) error {
	for _, name := range s.promo.GetStreams() {
		c, err := s.w.js.Consumer(ctx, name, prepare.MaterializerConsumer)
		if err != nil {
			return err
		}
		config := c.CachedInfo().Config
		config.AckWait = redelivery
		if _, err := s.w.js.UpdateConsumer(ctx, name, config); err != nil {
			return err
		}
	}
	return nil
}

// pullLevers while the sale is live.
func (s *trial) pullLevers(ctx context.Context) {
	for _, l := range s.plan.levers {
		if !wait(ctx, time.Until(s.start.Add(l.at))) {
			return
		}
		s.note("lever %s %d", l.name, l.item)
		if err := s.pull(ctx, l); err != nil {
			s.note("lever %s: %v", l.name, err)
		}
	}
}

func (s *trial) pull(ctx context.Context, l lever) error {
	if l.name == "top-up" {
		return s.topUp(ctx, sale.Quantity{SKU: s.plan.offers[l.item].SKU, Quantity: l.quantity})
	}
	s.mu.Lock()
	switch l.name {
	case "pause":
		s.promo.Paused = true
	case "resume":
		s.promo.Paused = false
	case "off", "on":
		s.promo.Items[l.item].Off = l.name == "off"
	case "raise":
		s.promo.Items[l.item].LimitPerBuyer = s.plan.offers[l.item].raised
	case "extend":
		s.end = s.end.Add(extension)
		s.facts.End = s.end
		s.promo.EndUnixMs = s.end.UnixMilli()
	}
	s.mu.Unlock()
	return s.operator().Publish(ctx)
}

// topUp adds stock and tells the pods.
func (s *trial) topUp(ctx context.Context, added sale.Quantity) error {
	operator, at := s.operator(added), time.Now()
	if err := operator.TopUp(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.facts.TopUps = append(s.facts.TopUps, audit.TopUp{SKU: added.SKU, Quantity: added.Quantity, At: at})
	s.mu.Unlock()
	return operator.Publish(ctx)
}
