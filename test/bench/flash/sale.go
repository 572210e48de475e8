package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/wire"
)

const (
	hotSKU     = "sku-hot"
	plenty     = 1_000_000_000_000
	saleLength = time.Hour
	replicas   = 1
	unitPrice  = 1999
	openWithin = 30 * time.Second
	askEvery   = 20 * time.Millisecond
	procedure  = flashv1connect.FlashServicePlaceFlashOrderProcedure
	// openingRequests for each partition, so that each is asked.
	openingRequests = 8
	soldOutText     = "SOLD_OUT"
)

// flashSale is the sale of one SKU, in the flash lane alone. Each phase has one of its own, so that
// none finds the memory and the log of those before it.
type flashSale struct {
	*flashv1.Promotion

	operator sale.Runner
}

// openSale prepares a sale, publishes it and waits until all of the pods take orders.
func (b *bench) openSale(ctx context.Context, partitions int, quantity int64, pods ...*proc.Child) (*flashSale, error) {
	s, err := newSale(ctx, b.js, partitions, quantity)
	if err != nil {
		return nil, err
	}
	return s, s.open(ctx, b.token, pods)
}

// newSale prepares a sale that no pod knows yet.
func newSale(ctx context.Context, js jetstream.JetStream, partitions int, quantity int64) (*flashSale, error) {
	uid, now := uuid.NewString(), time.Now()
	s := &flashSale{Promotion: &flashv1.Promotion{
		Uid: uid, Name: "bench-" + uid[:8],
		StartUnixMs: now.Add(-time.Minute).UnixMilli(), EndUnixMs: now.Add(saleLength).UnixMilli(),
		Partitions: int32(partitions), Streams: plog.StreamNames(uid, 1), Currency: "EUR",
		PaymentTimeoutMs: saleLength.Milliseconds(), Open: true,
		Items: []*flashv1.PromotedItem{{Sku: hotSKU, UnitPrice: unitPrice, LimitPerBuyer: limitPerBuyer}},
	}}
	s.operator.Sale = sale.New(sale.Options{
		Promotion: s.Promotion, Items: []sale.Quantity{{SKU: hotSKU, Quantity: quantity}},
		JetStream: sale.Opened(js), Replicas: replicas,
	})
	return s, s.operator.Prepare(ctx)
}

// open publishes the sale and asks every pod for orders of all partitions until they
// are answered for good.
func (s *flashSale) open(ctx context.Context, token string, pods []*proc.Child) error {
	if err := s.operator.Publish(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for _, pod := range pods {
		conn, err := wire.Dial(ctx, pod.URL, token, procedure)
		if err != nil {
			return err
		}
		defer conn.Close()
		for n := 0; n < openingRequests*int(s.GetPartitions()); {
			status, body, err := conn.Call(s.request("opening-" + strconv.Itoa(n)))
			if err != nil {
				return err
			}
			if status == http.StatusOK || refusedWith(soldOutText, body) {
				n++
				continue
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("the sale did not open: %d %s", status, body)
			}
		}
	}
	return nil
}

// end removes the sale with all that is in it.
func (s *flashSale) end(ctx context.Context) error { return s.operator.Remove(ctx) }

// request is a buyer's first and only one.
func (s *flashSale) request(buyer string) *flashv1.PlaceFlashOrderRequest {
	return place1(s.GetName(), buyer)
}

func place1(promotion, buyer string) *flashv1.PlaceFlashOrderRequest {
	return &flashv1.PlaceFlashOrderRequest{
		Promotion:    promotion,
		BuyerId:      buyer,
		RequestId:    "request-1",
		FirstAttempt: true,
		Items:        []*flashv1.FlashOrderItem{{Sku: hotSKU, Quantity: 1}},
	}
}

// buyers calls for a buyer after the other, each of whom orders once.
func buyers(promotion string, check load.Check) load.Call {
	run := fmt.Sprintf("%06x", rand.Uint32N(1<<24))
	return func(caller, n int) (proto.Message, load.Check) {
		return place1(promotion, buyerName(run, caller, n)), check
	}
}

func buyerName(run string, caller, n int) string {
	name := make([]byte, 0, 40)
	name = append(append(name, "buyer-"...), run...)
	name = strconv.AppendInt(append(name, '-'), int64(caller), 10)
	return string(strconv.AppendInt(append(name, '-'), int64(n), 10))
}
