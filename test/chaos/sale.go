package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/catalog"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
	"github.com/orderd-dev/orderd/orderd/stock"
)

const (
	// patience of the operator and of buyers who want to know, once nothing fails any more.
	patience = 90 * time.Second
	// drainGrace as the operator has it.
	drainGrace = 2 * time.Second
	// redelivery is how soon records that a killed worker held come again, instead of after 20 s.
	redelivery = 3 * time.Second
)

// sale of one seed, with the harness as its operator.
type sale struct {
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
func (s *sale) note(format string, args ...any) {
	line := time.Now().UTC().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.notes = append(s.notes, line)
	s.mu.Unlock()
	if s.verbose {
		fmt.Println("   ", line)
	}
}

func (s *sale) record(c audit.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

// provision the sale as the operator does.
func (s *sale) provision(ctx context.Context) error {
	uid := uuid.NewString()
	promo := &flashv1.Promotion{
		Uid: uid, Name: fmt.Sprintf("sale-%d-%s", s.plan.seed, uid[:8]), Currency: currency, Partitions: int32(s.plan.streams * s.plan.per),
		Streams: plog.StreamNames(uid, int32(s.plan.streams)), PaymentTimeoutMs: s.plan.paymentTimeout.Milliseconds(), AdmissionRequired: s.plan.admission,
	}
	var items []stock.Quantity
	var shares []provision.Item
	for _, o := range s.plan.offers {
		promo.Items = append(promo.Items, &flashv1.PromotedItem{Sku: o.SKU, UnitPrice: o.Price, LimitPerBuyer: o.Limit, Stream: o.stream})
		items, shares = append(items, stock.Quantity{SKU: o.SKU, Quantity: o.Stock}), append(shares, provision.Item{SKU: o.SKU, Quantity: o.Stock})
		fact := o.Offer
		fact.Limit = max(o.Limit, o.raised)
		s.facts.Offers = append(s.facts.Offers, fact)
	}
	s.facts.PaymentTimeout = s.plan.paymentTimeout
	err := errors.Join(
		until(ctx, patience, "the SKUs are there", s.stock),
		until(ctx, patience, "the stock is allocated", func(ctx context.Context) error { return stock.Allocate(ctx, s.w.db.pool, uid, items) }),
		until(ctx, patience, "the streams are there", func(ctx context.Context) error { return provision.EnsureStreams(ctx, s.w.js, promo, replicas) }),
		until(ctx, patience, "redelivery is quick", func(ctx context.Context) error { return s.hurry(ctx, promo) }),
		until(ctx, patience, "the partitions are open", func(ctx context.Context) error { return provision.OpenPartitions(ctx, s.w.js, promo, uid, shares) }),
	)
	if err != nil {
		return err
	}
	// Time for the pods to learn of it and take their partitions, as a real sale has, and for buyers who are too early.
	s.start = time.Now().Add(ahead + 700*time.Millisecond)
	if s.plan.early {
		s.start = s.start.Add(early - 600*time.Millisecond)
	}
	s.end = s.start.Add(s.plan.open)
	s.facts.Start, s.facts.End = s.start, s.end
	promo.StartUnixMs, promo.EndUnixMs, promo.Open = s.start.UnixMilli(), s.end.UnixMilli(), true
	promo.AdmissionEndUnixMs = s.end.UnixMilli()
	s.promo = promo
	return until(ctx, patience, "the promotion is published", func(ctx context.Context) error { return provision.PutPromotion(ctx, s.w.js, promo) })
}

func (s *sale) stock(ctx context.Context) error {
	shop := catalog.NewService(s.w.db.pool, time.Now)
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

func (s *sale) hurry(ctx context.Context, promo *flashv1.Promotion) error {
	for _, name := range promo.GetStreams() {
		c, err := s.w.js.Consumer(ctx, name, provision.MaterializerConsumer)
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
func (s *sale) pullLevers(ctx context.Context) {
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

func (s *sale) pull(ctx context.Context, l lever) error {
	if l.name == "top-up" {
		if err := s.topUp(ctx, l); err != nil {
			return err
		}
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
	return s.publish(ctx)
}

// publish what the promotion is now.
func (s *sale) publish(ctx context.Context) error {
	return until(ctx, patience, "the promotion is published", func(ctx context.Context) error {
		return provision.PutPromotion(ctx, s.w.js, s.definition())
	})
}

func (s *sale) definition() *flashv1.Promotion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return proto.CloneOf(s.promo)
}

// topUp moves stock in the database first, as the operator does.
func (s *sale) topUp(ctx context.Context, l lever) error {
	o := s.plan.offers[l.item]
	s.mu.Lock()
	target := o.Stock + l.quantity
	at := time.Now()
	for _, t := range s.facts.TopUps {
		if t.SKU == o.SKU {
			target += t.Quantity
		}
	}
	s.mu.Unlock()
	err := until(ctx, patience, "stock is added", func(ctx context.Context) error {
		all, err := stock.AddTopUps(ctx, s.w.db.pool, s.promo.GetUid(), []stock.Quantity{{SKU: o.SKU, Quantity: target}})
		if err == nil {
			s.toppedUp(all)
		}
		return err
	})
	if err == nil {
		s.mu.Lock()
		s.facts.TopUps = append(s.facts.TopUps, audit.TopUp{SKU: o.SKU, Quantity: l.quantity, At: at})
		s.mu.Unlock()
	}
	return err
}

func (s *sale) toppedUp(all []stock.TopUp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promo.TopUps = nil
	for _, t := range all {
		s.promo.TopUps = append(s.promo.TopUps, &flashv1.TopUp{Id: strconv.FormatInt(t.Number, 10), Sku: t.SKU, Quantity: t.Quantity})
	}
}

// settle the sale as the operator does, and return what it came to.
func (s *sale) settle(ctx context.Context) ([]provision.Total, error) {
	wait(ctx, time.Until(s.end.Add(drainGrace)))
	uid := s.promo.GetUid()
	err := until(ctx, patience, "no more stock is added", func(ctx context.Context) error {
		all, err := stock.EndTopUps(ctx, s.w.db.pool, uid)
		if err == nil {
			s.toppedUp(all)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var totals []provision.Total
	err = until(ctx, patience, "the partitions are closed", func(ctx context.Context) (err error) {
		totals, err = provision.ClosePartitions(ctx, s.w.js, s.definition(), "chaos")
		return err
	})
	if err != nil {
		return nil, err
	}
	err = until(ctx, patience, "every order is in the database", func(ctx context.Context) error {
		drained, err := provision.Drained(ctx, s.w.js, s.definition())
		if err == nil && !drained {
			err = errors.New("not drained")
		}
		return err
	})
	if err != nil {
		return totals, err
	}
	s.mu.Lock()
	s.promo.Closed = true
	s.mu.Unlock()
	if err := s.publish(ctx); err != nil {
		return totals, err
	}
	return totals, until(ctx, patience, "the unsold stock is returned", func(ctx context.Context) error { return s.giveBack(ctx, totals) })
}

// giveBack proves that log and database agree, and returns what is unsold.
func (s *sale) giveBack(ctx context.Context, totals []provision.Total) error {
	uid := s.promo.GetUid()
	if n, err := order.PendingReleases(ctx, s.w.db.pool, uid); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d releases are pending", n))
	}
	sold, err := order.SoldInPromotion(ctx, s.w.db.pool, uid)
	if err != nil {
		return err
	}
	of := map[string]int64{}
	for _, q := range sold {
		of[q.SKU] = q.Quantity
	}
	var unsold []stock.Quantity
	for _, t := range totals {
		if of[t.SKU] != t.Sold {
			return fmt.Errorf("%s: %d sold in the log, %d in the database", t.SKU, t.Sold, of[t.SKU])
		}
		unsold = append(unsold, stock.Quantity{SKU: t.SKU, Quantity: t.Unsold})
	}
	return stock.ReturnUnsold(ctx, s.w.db.pool, uid, unsold)
}

// remove the sale's streams and key.
func (s *sale) remove(ctx context.Context) error {
	return until(ctx, patience, "the streams are gone", func(ctx context.Context) error {
		err := provision.DeleteStreams(ctx, s.w.js, s.promo)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = nil
		}
		return errors.Join(err, provision.DeletePromotion(ctx, s.w.js, s.promo.GetUid()))
	})
}
