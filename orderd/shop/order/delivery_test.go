package order_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

func (s *shop) setDelivery(o *orderv1.Order, region, method string) error {
	_, err := s.service.SetDelivery(context.Background(), &orderv1.SetDeliveryRequest{
		RequestId: uuid.NewString(),
		BuyerId:   o.GetBuyerId(),
		OrderId:   o.GetOrderId(),
		Delivery:  &quotev1.Delivery{Address: home(region), Method: method},
	})
	return err
}

func TestSetDelivery(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 100); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	bare := s.order(t, line("tea", 2))
	for _, tt := range []struct{ region, method, want string }{
		{"Yunnan", "", "FREIGHT_DIFFERS"},
		{"Tibet", "", "UNDELIVERABLE"},
		{"Shanghai", "drone", "DELIVERY_METHOD_UNKNOWN"},
		{"Shanghai", "post", ""},
		{"Shanghai", "", ""},
	} {
		if err := s.setDelivery(bare, tt.region, tt.method); rpcerr.Reason(err) != tt.want || tt.want == "" && err != nil {
			t.Errorf("%s %s: %v, want %s", tt.region, tt.method, err, tt.want)
		}
	}
	answer, err := s.service.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: "r",
		BuyerId:   "ann",
		Lines:     []*orderv1.PlaceOrderLine{line("tea", 2)},
		Delivery:  &quotev1.Delivery{Address: home("Yunnan")},
	})
	if err != nil || answer.GetOrder().GetFreight().GetAmount() != 10 || answer.GetOrder().GetDeliveryMethod() != "post" {
		t.Fatalf("%v, %v", answer, err)
	}
	sent := answer.GetOrder()
	if err := s.setDelivery(sent, "Shanghai", ""); rpcerr.Reason(err) != "FREIGHT_DIFFERS" {
		t.Errorf("to where it costs less: %v", err)
	}
	if err := s.setDelivery(sent, "Hunan", ""); err != nil {
		t.Error(err)
	}
	s.paid(t, uuid.MustParse(sent.GetOrderId()))
	if err := s.setDelivery(sent, "Hebei", ""); err != nil {
		t.Error(err)
	}
	got, err := s.store.Get(ctx, "ann", uuid.MustParse(sent.GetOrderId()))
	if err != nil || got.Address.GetRegion() != "Hebei" || got.Version != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	s.shipAll(t, sent)
	if err := s.setDelivery(sent, "Hunan", ""); rpcerr.Reason(err) != "ORDER_STATE_CONFLICT" {
		t.Errorf("on its way: %v", err)
	}
	if _, err := s.service.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: "u",
		BuyerId:   "ann",
		Lines:     []*orderv1.PlaceOrderLine{line("tea", 2)},
		Delivery:  &quotev1.Delivery{Address: home("Tibet")},
	}); rpcerr.Reason(err) != "UNDELIVERABLE" {
		t.Errorf("placing to where nothing goes: %v", err)
	}
}

func TestParcelsNeedAnAddress(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 100); err != nil {
		t.Fatal(err)
	}
	id := uuid.MustParse(s.order(t, line("tea", 2)).GetOrderId())
	s.paid(t, id)
	err := s.tx(func(ctx context.Context, tx *database.Tx) error {
		_, err := s.store.ReserveShipment(ctx, tx, s.now, id, nil)
		return err
	})
	if !errors.Is(err, order.ErrNoAddress) {
		t.Error(err)
	}
}

// Delivered orders are complete when their time is over, and no sooner.
func TestCompletion(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 100); err != nil {
		t.Fatal(err)
	}
	const after = 24 * time.Hour
	deliver := func() uuid.UUID {
		o := s.order(t, line("tea", 1))
		id := uuid.MustParse(o.GetOrderId())
		s.paid(t, id)
		s.shipAll(t, o)
		err := s.tx(func(ctx context.Context, tx *database.Tx) error {
			return s.store.RecordDelivered(ctx, tx, s.now, id, uuid.New(), []order.LineQuantity{{Line: 1, Quantity: 1}}, "test")
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	early := deliver()
	s.now = s.now.Add(after)
	late := deliver()
	completer, err := order.NewCompleter(order.CompleterOptions{
		Worker: order.WorkerOptions{
			Store: s.store,
			WorkerOptions: lease.WorkerOptions{
				Worker:   "test",
				Interval: 10 * time.Millisecond,
				TTL:      time.Minute,
				Logger:   slog.New(slog.DiscardHandler),
			},
		},
		After: after,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- completer.Run(ctx) }()
	for {
		got, err := s.store.Get(ctx, "ann", early)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == order.Completed {
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	got, err := s.store.Get(context.Background(), "ann", late)
	if err != nil || got.State != order.Delivered {
		t.Errorf("%+v, %v", got, err)
	}
}
