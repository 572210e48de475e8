// Package sale prepares a promotion's sale, closes it, and proves that no unit was lost or sold
// twice. The shop's stock is in the database, the sale's partitions and what the pods know of it
// are in JetStream; this package keeps the two in step.
//
// A [Sale] has single steps, none of which waits. Each may be repeated, and may die at any point.
// Whoever dies begins again with a new Sale and the first step: what is stored is all that a Sale
// goes by. The order of the steps keeps stock from being lost or doubled:
//
//	before the sale   Allocate, EnsureStreams, OpenPartitions, TopUp, Publish
//	while it is live  TopUp, Publish; Totals counts what is sold and left
//	after its end     EndTopUps, ClosePartitions, Drained, PublishClosed, Prove, ReturnUnsold
//	at last           Remove
//
// Stock leaves the shop in the database before a partition has it, and returns there only
// after every partition is closed, every accepted order is in the database, and both
// agree on what was sold.
//
// Whoever may wait, as tests and rehearsals may and a reconciler may not, has a [Runner] repeat the
// steps until they are done.
package sale

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// DrainGrace is how long after its end a sale is closed at the earliest: the end passes on every
// pod's clock, and what the pods accepted until then is appended.
const DrainGrace = 2 * time.Second

// databaseTimeout bounds each call to the database, so that one that hangs does not keep its caller
// from what else there is to do.
const databaseTimeout = 10 * time.Second

// The words of a sale that other packages own.
type (
	// Quantity is a number of units of a SKU.
	Quantity = stock.Quantity
	// TopUp is stock that was added to a sale after its allocation.
	TopUp = stock.TopUp
	// Total is what all partitions together hold of a SKU.
	Total = prepare.Total
	// InsufficientError says how much of which SKUs the shop lacks.
	InsufficientError = stock.InsufficientError
	// UnknownSKUError says which SKUs the shop does not have.
	UnknownSKUError = stock.UnknownSKUError
	// OlderError says that the pods were told of a later definition of the promotion.
	OlderError = prepare.OlderError
)

// ErrTooManyTopUps says that a sale had stock added as often as it can be.
var ErrTooManyTopUps = stock.ErrTooManyTopUps

// Step of a sale, in words that go on after "while".
type Step string

// The steps, in their order.
const (
	StepAllocate        Step = "allocating stock"
	StepEnsureStreams   Step = "making the streams"
	StepOpenPartitions  Step = "opening the partitions"
	StepTopUp           Step = "adding stock"
	StepPublish         Step = "publishing the promotion"
	StepEndTopUps       Step = "ending top-ups"
	StepClosePartitions Step = "closing the partitions"
	StepDrain           Step = "waiting for accepted orders to be written"
	StepPublishClosed   Step = "publishing that the sale is closed"
	StepProve           Step = "proving the sale"
	StepReturnUnsold    Step = "returning unsold stock"
	StepRemove          Step = "removing the log"
)

// Opener gives a connection when a step needs it. A connection that cannot be had fails the steps
// that need it, with the Opener's error, and no others.
type Opener[T any] func(ctx context.Context) (T, error)

// Opened is the Opener of a connection that is open already.
func Opened[T any](connection T) Opener[T] {
	return func(context.Context) (T, error) { return connection, nil }
}

// Options of a Sale.
type Options struct {
	// Promotion is what the pods are told. Its top-ups may be missing: TopUp and EndTopUps know
	// them. New copies it.
	Promotion *flashv1.Promotion
	// Items say how many units of each SKU the sale is to have. A sale that was allocated with less
	// gets the rest from TopUp. Without a database the partitions are opened with them.
	Items []Quantity
	// Name of the promotion, of which one at a time may have stock; zero: it has none.
	Name PromotionName
	// Database has the shop's stock and its orders. Nil: a sale of the flash lane alone. Its steps
	// in the database do nothing: Allocate takes the Items as given, nothing is added, written or
	// returned, and Prove looks at the log.
	Database Opener[*pgxpool.Pool]
	// JetStream has the streams and the promotions bucket. Each of a sale's calls is bounded by its
	// default time-out.
	JetStream Opener[jetstream.JetStream]
	// Replicas of the streams and buckets, at least 1.
	Replicas int
	// Actor names whoever closes partitions, in their logs.
	Actor string
	// Counts keep what was counted between Sales of the same promotion. Nil: each Sale
	// counts from the start.
	Counts *Counts
	// After, if set, is told of each step that succeeded, with the promotion as it is then. Its
	// error becomes the step's: tests end there what they want to see resumed.
	After func(Step, *flashv1.Promotion) error
}

// Sale is one promotion's sale. It is for one goroutine, and cheap to make: whoever changes the
// promotion makes a new one. Errors of its steps are those of the packages that do them, which say
// what was being done.
type Sale struct {
	promo     *flashv1.Promotion
	items     []Quantity
	name      PromotionName
	database  Opener[*pgxpool.Pool]
	messaging Opener[jetstream.JetStream]
	replicas  int
	actor     string
	counts    *Counts
	after     func(Step, *flashv1.Promotion) error
}

// New returns the Sale. It connects to nothing.
func New(o Options) *Sale {
	s := &Sale{
		promo: proto.CloneOf(o.Promotion), items: slices.Clone(o.Items), name: o.Name,
		database: o.Database, messaging: o.JetStream, replicas: o.Replicas, actor: o.Actor, counts: o.Counts, after: o.After,
	}
	if s.counts == nil {
		s.counts = &Counts{}
	}
	return s
}

// Promotion is what Publish tells the pods, with the top-ups that are known. It must not be changed.
func (s *Sale) Promotion() *flashv1.Promotion { return s.promo }

// done is what a step returns that had this error.
func (s *Sale) done(step Step, err error) error {
	if err != nil || s.after == nil {
		return err
	}
	return s.after(step, s.promo)
}

// jetStream opens JetStream, and returns it with the context for its calls. Every call of a sale is
// made with that one: it gives each the client's own time-out, so that a JetStream that hangs does not
// keep the caller until the step's ctx ends.
func (s *Sale) jetStream(ctx context.Context) (context.Context, jetstream.JetStream, error) {
	js, err := s.messaging(ctx)
	return messaging.PerCall(ctx), js, err
}

// ask calls the database about the sale's promotion. Every call of a sale goes through here.
func ask[T any](ctx context.Context, s *Sale, call func(context.Context, *pgxpool.Pool, string) (T, error)) (T, error) {
	pool, err := s.database(ctx)
	if err != nil {
		var none T
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return call(ctx, pool, s.promo.GetUid())
}

// tell is ask for calls that answer nothing but whether they succeeded.
func tell(ctx context.Context, s *Sale, call func(context.Context, *pgxpool.Pool, string) error) error {
	_, err := ask(ctx, s, func(ctx context.Context, db *pgxpool.Pool, uid string) (struct{}, error) {
		return struct{}{}, call(ctx, db, uid)
	})
	return err
}

// StreamNames are the names of a promotion's streams, by its uid and how many it has.
func StreamNames(uid string, streams int32) []string { return plog.StreamNames(uid, streams) }
