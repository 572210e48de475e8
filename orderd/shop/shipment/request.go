package shipment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

const (
	// DefaultPollInterval is how long a parcel that is on its way is not asked for.
	DefaultPollInterval = 30 * time.Minute
	// maxPollInterval and intervalsOfAge: an old parcel is asked for once in an eighth of its
	// age, at least daily.
	maxPollInterval = 24 * time.Hour
	intervalsOfAge  = 8
	// DefaultRefreshAfter is how old a parcel's tracking may be before a buyer's
	// question is passed on.
	DefaultRefreshAfter = time.Minute
	// DefaultRefreshWait is how long a buyer waits for that.
	DefaultRefreshWait = 1500 * time.Millisecond

	// maxShipments an order has.
	maxShipments = 200

	actorConsumer = "consumer"
	actorOrder    = "order"
	actorWorker   = "worker"
)

// Orders is what shipments ask of their orders. Nothing else changes an order.
type Orders interface {
	ReserveShipment(
		ctx context.Context, tx *database.Tx, at time.Time, orderID uuid.UUID, lines []order.LineQuantity,
	) (order.Parcel, error)
	UnreserveShipment(
		ctx context.Context, tx *database.Tx, at time.Time, orderID uuid.UUID, lines []order.LineQuantity,
	) error
	RecordShipped(
		ctx context.Context,
		tx *database.Tx,
		at time.Time,
		orderID, shipmentID uuid.UUID,
		lines []order.LineQuantity,
		actor string,
	) error
	RecordDelivered(
		ctx context.Context,
		tx *database.Tx,
		at time.Time,
		orderID, shipmentID uuid.UUID,
		lines []order.LineQuantity,
		actor string,
	) error
}

var _ Orders = (*order.Store)(nil)

// Options of a Store. Pool, Orders, Clock, Random and Logger have to be set.
type Options struct {
	Pool   *pgxpool.Pool
	Orders Orders
	// Carriers that parcels can go with; the first takes what names none. With none, staff hand all
	// parcels over themselves.
	Carriers []carrier.Carrier
	// PollInterval, RefreshAfter and RefreshWait: the defaults if zero.
	PollInterval, RefreshAfter, RefreshWait time.Duration
	Clock                                   func() time.Time
	// Random makes ids: crypto/rand.Reader.
	Random     io.Reader
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Stale is told, last in the transaction, of orders with a parcel that has got its tracking number: no event tells of
	// it before it leaves. It must not wait for anybody. Nobody is told if nil.
	Stale func(ctx context.Context, tx pgx.Tx, orders []uuid.UUID) error
}

// Store keeps shipments. Its methods are safe for concurrent use.
type Store struct {
	pool         *pgxpool.Pool
	orders       Orders
	carriers     map[string]carrier.Carrier
	first        string
	pollInterval time.Duration
	refreshAfter time.Duration
	refreshWait  time.Duration
	now          func() time.Time
	random       io.Reader
	log          *slog.Logger
	metrics      *metrics
	flights      singleflight.Group
	stale        func(ctx context.Context, tx pgx.Tx, orders []uuid.UUID) error
	// refreshes bounds how many buyers' questions are passed on at once.
	refreshes chan struct{}
}

// NewStore makes a store; an error is the registerer's, or two carriers of one name.
func NewStore(o Options) (*Store, error) {
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Store{
		pool:         o.Pool,
		orders:       o.Orders,
		carriers:     map[string]carrier.Carrier{},
		pollInterval: o.PollInterval,
		refreshAfter: o.RefreshAfter,
		refreshWait:  o.RefreshWait,
		now:          o.Clock,
		random:       o.Random,
		log:          o.Logger,
		metrics:      m,
		refreshes:    make(chan struct{}, maxRefreshes),
		stale:        o.Stale,
	}
	if s.pollInterval <= 0 {
		s.pollInterval = DefaultPollInterval
	}
	if s.refreshAfter <= 0 {
		s.refreshAfter = DefaultRefreshAfter
	}
	if s.refreshWait <= 0 {
		s.refreshWait = DefaultRefreshWait
	}
	for i, c := range o.Carriers {
		if _, twice := s.carriers[c.Name()]; twice {
			return nil, fmt.Errorf("carrier %s is configured twice", c.Name())
		}
		s.carriers[c.Name()] = c
		if i == 0 {
			s.first = c.Name()
		}
	}
	return s, nil
}

// wish is what somebody wants shipped.
type wish struct {
	orderID uuid.UUID
	// lines are nil for all that is left.
	lines          []order.LineQuantity
	source         string
	carrier        string
	trackingNumber string
	actor          string
}

var errTooMany = errors.New("the order has too many shipments")

// request sets units aside and writes their shipment, in the caller's transaction. A carrier's
// tracking number is there only if staff have handed the parcel over: then nothing is left to
// do in the background.
func (s *Store) request(ctx context.Context, tx *database.Tx, at time.Time, want wish) (*work, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, fmt.Errorf("shipment id: %w", err)
	}
	p, err := s.orders.ReserveShipment(ctx, tx, at, want.orderID, want.lines)
	if err != nil {
		return nil, err
	}
	// The order is locked: nobody else adds one.
	if n, err := count(ctx, tx, want.orderID); err != nil || n >= maxShipments {
		return nil, cmp.Or(err, errTooMany)
	}
	sh := &Shipment{
		ID:             id,
		OrderID:        want.orderID,
		BuyerID:        p.BuyerID,
		Source:         want.source,
		Carrier:        want.carrier,
		TrackingNumber: want.trackingNumber,
		Address:        p.Address,
		DeliveryMethod: p.DeliveryMethod,
		Work:           RequestWork,
		DueAt:          at,
		CreatedAt:      at,
	}
	if want.trackingNumber != "" {
		sh.Work = NoWork
	}
	for _, l := range p.Lines {
		sh.Lines = append(sh.Lines, Line{Line: l.Line, SKU: l.SKU, Title: l.Title, Quantity: l.Quantity})
	}
	w := s.newWork(tx, at, sh)
	if err := w.step(Request, want.actor, want.source); err != nil {
		return nil, err
	}
	return w, insert(ctx, tx, sh, w.changes)
}

// ConsumerName is the name of the consumer whose effect [Store.Handle] is.
const ConsumerName = "shipment"

// messages are the events that [Store.Handle] takes.
func messages() []proto.Message {
	return []proto.Message{&orderv1.OrderPaid{}, &orderv1.OrderDeliverySet{}, &orderv1.OrderCancelled{}}
}

// Types are the full names of the events that [Store.Handle] takes.
func Types() []string {
	var types []string
	for _, m := range messages() {
		types = append(types, string(m.ProtoReflect().Descriptor().FullName()))
	}
	return types
}

// Handle has the goods of paid orders sent, and of cancelled ones not. It is a consumer's
// effect, and repeatable.
func (s *Store) Handle(ctx context.Context, tx *database.Tx, e consume.Event) error {
	switch event := e.Message.(type) {
	case *orderv1.OrderPaid:
		return s.RequestForPaid(ctx, tx, event, s.now())
	case *orderv1.OrderDeliverySet:
		return s.RequestForDeliverySet(ctx, tx, event, s.now())
	case *orderv1.OrderCancelled:
		return s.StopForCancelled(ctx, tx, event, s.now())
	}
	return consume.Permanent(fmt.Errorf("event %s of type %s says nothing about parcels", e.ID, e.Type))
}

// RequestForPaid requests a shipment of all that is left of a paid order, once: it is the effect of
// a consumer of OrderPaid. An order without an address gets its shipment when it has one; one that
// was cancelled meanwhile, or has nothing left, none.
func (s *Store) RequestForPaid(ctx context.Context, tx *database.Tx, event *orderv1.OrderPaid, at time.Time) error {
	return s.requestFor(ctx, tx, event.GetOrder(), "paid", at)
}

// RequestForDeliverySet does the same when an order has got its address, if it is paid: the effect
// of a consumer of OrderDeliverySet.
func (s *Store) RequestForDeliverySet(
	ctx context.Context, tx *database.Tx, event *orderv1.OrderDeliverySet, at time.Time,
) error {
	if event.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PAID {
		return nil
	}
	return s.requestFor(ctx, tx, event.GetOrder(), "delivery_set", at)
}

func (s *Store) requestFor(ctx context.Context, tx *database.Tx, o *orderv1.Order, event string, at time.Time) error {
	id, err := uuid.Parse(o.GetOrderId())
	if err != nil {
		return fmt.Errorf("order id: %w", err)
	}
	if s.first == "" {
		return nil
	}
	source := fmt.Sprintf("%s:%d", event, o.GetVersion())
	known, err := bySource(ctx, tx, id, source)
	if err != nil || len(known) > 0 {
		return err
	}
	_, err = s.request(ctx, tx, database.Stamp(at),
		wish{orderID: id, source: source, carrier: s.first, actor: actorConsumer})
	if _, refused := conflict(err); refused || errors.Is(err, order.ErrNoAddress) || errors.Is(err, order.ErrNothingLeft) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("requesting a shipment of order %s: %w", id, err)
	}
	return nil
}

// StopForCancelled ends what has not left of a cancelled order and lets the carrier know: the
// effect of a consumer of OrderCancelled. Without it that happens when the carrier is asked, or
// tells, the next time. An order that was cancelled unpaid had no parcels: those that are there
// when its event comes late, or is replayed, are of a late payment and have to leave.
func (s *Store) StopForCancelled(
	ctx context.Context, tx *database.Tx, event *orderv1.OrderCancelled, at time.Time,
) error {
	if event.GetOrder().GetPaidAt() == nil {
		return nil
	}
	id, err := uuid.Parse(event.GetOrder().GetOrderId())
	if err != nil {
		return fmt.Errorf("order id: %w", err)
	}
	waiting, err := lockRequested(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, sh := range waiting {
		w := s.newWork(tx, database.Stamp(at), sh)
		if err := w.fail(ctx, exceptionOrder, "", actorConsumer); err != nil {
			return err
		}
		if err := w.write(ctx); err != nil {
			return err
		}
	}
	return nil
}
