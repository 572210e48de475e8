package order_test

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// lane answers as a test wants it to, and counts the questions.
type lane struct {
	answer func(context.Context) (*flashv1.FindOrderResponse, error)
	asked  int
}

func (l *lane) Find(ctx context.Context, _ string, _ uuid.UUID) (*flashv1.FindOrderResponse, error) {
	l.asked++
	return l.answer(ctx)
}

// laneShop is a shop whose pods ask a lane, and an order of a buyer's that was just accepted there.
type laneShop struct {
	*shop
	lane     *lane
	service  *order.Service
	id       uuid.UUID
	accepted *flashv1.FindOrderResponse
}

func newLaneShop(t *testing.T) *laneShop {
	t.Helper()
	s := &laneShop{shop: newShop(t), lane: &lane{}}
	if err := s.stocked("phone", 10); err != nil {
		t.Fatal(err)
	}
	ids, err := orderid.NewGenerator(shopKey(), func() time.Time { return s.now }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.service = order.NewService(order.ServiceOptions{
		Store:          s.store,
		IDs:            ids,
		Tokens:         s.tokens,
		PaymentTimeout: journeyTimeout,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
		Flash:          s.lane,
	})
	if s.id, err = ids.New("ann"); err != nil {
		t.Fatal(err)
	}
	s.accepted = &flashv1.FindOrderResponse{
		PromotionUid: "uid", Promotion: "singles-day", State: flashv1.FlashOrderState_FLASH_ORDER_STATE_ACCEPTED,
		Reservation: &flashv1.Reservation{
			OrderId:          s.id[:],
			BuyerId:          "ann",
			RequestId:        "r",
			Currency:         "CNY",
			Items:            []*flashv1.ReservedItem{{Sku: "phone", Quantity: 2, UnitPrice: 80}},
			AcceptedAtUnixMs: s.now.UnixMilli(),
			ExpiresAtUnixMs:  s.now.Add(time.Hour).UnixMilli(),
		},
	}
	return s
}

func (s *laneShop) materialize(t *testing.T) {
	t.Helper()
	r := s.accepted.GetReservation()
	err := s.store.Materialize(context.Background(), []order.Accepted{{
		OrderID: s.id, BuyerID: "ann", RequestID: "r", PromotionUID: "uid", Promotion: "singles-day", Currency: "CNY",
		Items:      []order.AcceptedItem{{SKU: "phone", Quantity: 2, UnitPrice: 80}},
		AcceptedAt: time.UnixMilli(r.GetAcceptedAtUnixMs()), ExpiresAt: time.UnixMilli(r.GetExpiresAtUnixMs()),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// seen is what a buyer reads of an order: its state, or why not.
func (s *laneShop) seen(t *testing.T, buyer string, id uuid.UUID) string {
	t.Helper()
	answer, err := s.service.GetOrder(t.Context(), &orderv1.GetOrderRequest{BuyerId: buyer, OrderId: id.String()})
	if err != nil {
		return rpcerr.Reason(err)
	}
	return answer.GetOrder().GetState().String()
}

func TestAnAcceptedOrderIsFoundAtEveryMoment(t *testing.T) {
	s := newLaneShop(t)
	s.lane.answer = func(context.Context) (*flashv1.FindOrderResponse, error) { return s.accepted, nil }
	answer, err := s.service.GetOrder(t.Context(), &orderv1.GetOrderRequest{BuyerId: "ann", OrderId: s.id.String()})
	if err != nil {
		t.Fatal(err)
	}
	before := answer.GetOrder()
	if before.GetState() != orderv1.OrderState_ORDER_STATE_ACCEPTED || before.GetVersion() != 0 {
		t.Errorf("in the lane: %s, version %d; want ACCEPTED, 0", before.GetState(), before.GetVersion())
	}
	// The lane says that it has the order, which is in the database by then.
	s.lane.answer = func(context.Context) (*flashv1.FindOrderResponse, error) {
		s.materialize(t)
		return s.accepted, nil
	}
	if got := s.seen(t, "ann", s.id); got != "ORDER_STATE_PENDING_PAYMENT" {
		t.Errorf("written while the lane answered: %s, want PENDING_PAYMENT", got)
	}
	// From then on nobody asks the lane.
	asked := s.lane.asked
	answer, err = s.service.GetOrder(t.Context(), &orderv1.GetOrderRequest{BuyerId: "ann", OrderId: s.id.String()})
	if err != nil {
		t.Fatal(err)
	}
	if s.lane.asked != asked {
		t.Error("the lane was asked for an order of the database's")
	}
	// But for what the database adds, it is the order that was shown before.
	before.State, before.Version = answer.GetOrder().GetState(), answer.GetOrder().GetVersion()
	if !proto.Equal(before, answer.GetOrder()) {
		t.Errorf("the order in the lane and in the database differ:\n%v\n%v", before, answer.GetOrder())
	}
}

func TestAnOrderWhoseLogIsGoneIsInTheDatabase(t *testing.T) {
	s := newLaneShop(t)
	// Between the first look and the lane's answer the order is written, and the log goes.
	s.lane.answer = func(context.Context) (*flashv1.FindOrderResponse, error) {
		s.materialize(t)
		return nil, nil
	}
	if got := s.seen(t, "ann", s.id); got != "ORDER_STATE_PENDING_PAYMENT" {
		t.Errorf("%s, want PENDING_PAYMENT", got)
	}
}

func TestWhatTheLaneDoesNotSay(t *testing.T) {
	s := newLaneShop(t)
	s.lane.answer = func(context.Context) (*flashv1.FindOrderResponse, error) { return nil, nil }
	if got := s.seen(t, "ann", s.id); got != "ORDER_NOT_FOUND" {
		t.Errorf("an order that the lane does not have: %s, want ORDER_NOT_FOUND", got)
	}
	s.lane.answer = func(context.Context) (*flashv1.FindOrderResponse, error) { return nil, errors.New("away") }
	if got := s.seen(t, "ann", s.id); got != "LANE_UNAVAILABLE" {
		t.Errorf("the lane is away: %s, want LANE_UNAVAILABLE", got)
	}
	asked := s.lane.asked
	if got := s.seen(t, "bob", s.id); got != "ORDER_NOT_FOUND" || s.lane.asked != asked {
		t.Errorf("an id that cannot be bob's: %s, and the lane was asked %d times; want ORDER_NOT_FOUND without", got,
			s.lane.asked-asked)
	}
	if got := s.seen(t, "ann", uuid.New()); got != "ORDER_NOT_FOUND" || s.lane.asked != asked {
		t.Errorf("an id that nobody made: %s, and the lane was asked %d times; want ORDER_NOT_FOUND without", got,
			s.lane.asked-asked)
	}
	s.accepted.State = flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED
	s.lane.answer = func(context.Context) (*flashv1.FindOrderResponse, error) { return s.accepted, nil }
	answer, err := s.service.GetOrder(t.Context(), &orderv1.GetOrderRequest{BuyerId: "ann", OrderId: s.id.String()})
	if err != nil {
		t.Fatal(err)
	}
	if o := answer.GetOrder(); o.GetState() != orderv1.OrderState_ORDER_STATE_CANCELLED ||
		o.GetCancelReason() != "UNWRITABLE" {
		t.Errorf("an order that could not be written: %s, %s; want CANCELLED, UNWRITABLE", o.GetState(), o.GetCancelReason())
	}
}

func TestQuestionsToTheLaneAreBounded(t *testing.T) {
	s := newLaneShop(t)
	const most = 64
	entered, leave := make(chan struct{}), make(chan struct{})
	blocked := &blockedLane{entered: entered, leave: leave}
	ids, err := orderid.NewGenerator(shopKey(), func() time.Time { return s.now }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	service := order.NewService(order.ServiceOptions{
		Store:          s.store,
		IDs:            ids,
		Tokens:         s.tokens,
		PaymentTimeout: journeyTimeout,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
		Flash:          blocked,
	})
	request := &orderv1.GetOrderRequest{BuyerId: "ann", OrderId: s.id.String()}
	reasons := make(chan string, most)
	for range most {
		go func() {
			_, err := service.GetOrder(context.WithoutCancel(t.Context()), request)
			reasons <- rpcerr.Reason(err)
		}()
	}
	for range most {
		<-entered
	}
	if _, err := service.GetOrder(t.Context(), request); rpcerr.Reason(err) != "OVERLOADED" {
		t.Errorf("one more: %v, want OVERLOADED", err)
	}
	close(leave)
	for range most {
		if reason := <-reasons; reason != "ORDER_NOT_FOUND" {
			t.Errorf("%s, want ORDER_NOT_FOUND", reason)
		}
	}
}

// blockedLane says when it is asked, and answers when it is told to.
type blockedLane struct{ entered, leave chan struct{} }

func (l *blockedLane) Find(context.Context, string, uuid.UUID) (*flashv1.FindOrderResponse, error) {
	l.entered <- struct{}{}
	<-l.leave
	return nil, nil
}

// received hands a handler its request.
type received struct {
	connect.ServerStream

	request proto.Message
}

func (r received) Receive(msg any) error {
	proto.Merge(msg.(proto.Message), r.request)
	return nil
}

func TestOtherRPCsSayThatAnOrderIsNotReady(t *testing.T) {
	s := newLaneShop(t)
	cancelling := connect.Spec{
		Procedure: orderv1connect.OrderServiceCancelOrderProcedure, StreamType: connect.StreamTypeUnary,
		Schema: orderv1.File_orderd_order_v1_order_proto.Services().ByName("OrderService").Methods().ByName("CancelOrder"),
	}
	handler := s.service.NotYet()(func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
		request := &orderv1.CancelOrderRequest{}
		if err := stream.Receive(request); err != nil {
			return err
		}
		_, err := s.service.CancelOrder(ctx, request)
		return err
	})
	cancel := func(id uuid.UUID) string {
		t.Helper()
		request := &orderv1.CancelOrderRequest{RequestId: uuid.NewString(), BuyerId: "ann", OrderId: id.String()}
		return rpcerr.Reason(handler(t.Context(), cancelling, received{request: request}))
	}
	var got []string
	for _, answer := range []func(context.Context) (*flashv1.FindOrderResponse, error){
		func(context.Context) (*flashv1.FindOrderResponse, error) { return s.accepted, nil },
		func(context.Context) (*flashv1.FindOrderResponse, error) { return nil, errors.New("away") },
		func(context.Context) (*flashv1.FindOrderResponse, error) { return nil, nil },
		func(context.Context) (*flashv1.FindOrderResponse, error) {
			s.materialize(t)
			return nil, nil
		},
	} {
		s.lane.answer = answer
		got = append(got, cancel(s.id))
	}
	got = append(got, cancel(s.id), cancel(uuid.New()))
	want := []string{"ORDER_NOT_READY", "LANE_UNAVAILABLE", "ORDER_NOT_FOUND", "ORDER_NOT_READY", "", "ORDER_NOT_FOUND"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons in the lane, without it, not there, written meanwhile, written, another (-want +got):\n%s", diff)
	}
}
