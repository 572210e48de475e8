// Package watch tells those who wait for it that an order has changed: one by its id, or any of a
// buyer's. It knows which and not what: who is told reads the order from the database, as all who go by
// events do, and so a message in the stream that says what is not so is nothing worse than a look at
// the database.
//
// What holds:
//
//   - A pod has one reader of the stream ORDER_EVENTS for all of its watchers. It asks for the headers
//     alone, which are a fifth of the events.
//   - Who began to watch an order before it was read from the database is told of every change since
//     then, and of several at once. Where the reader has missed something, because the stream lost it
//     or the reader is too far behind, all watchers of orders are told to look.
//   - A [Position] is a place in the stream. Who watches a buyer from a position on is told of all
//     orders of the buyer that changed behind it, or that this is not known: [ErrTooOld], [ErrBehind].
//   - A watcher has the ids of at most 100 orders that it was not asked for yet.
//
// The last changes are remembered, so that a watcher who comes back after its stream has ended costs a
// look at a list in memory: when a pod goes, thousands come back to the others at once, and for nearly
// all of them nothing has changed. Reading the stream for each would be far more, and so would be
// comparing a buyer's orders in the database. Who was away for longer lists the orders, which is what
// an app that was closed does anyway.
package watch

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

const (
	// maxWatchers of a hub. A stream takes some 40 KiB of a pod's memory.
	maxWatchers = 4096
	// maxPending is how many orders of a buyer may have changed before its watcher asks which.
	maxPending = 100
	// recentChanges are remembered, 40 bytes each: a minute and a half of the highest peak.
	recentChanges = 1 << 18
	// maxResumed changes are looked through for whoever resumes, while all others wait.
	maxResumed = 1 << 16
	// backlog is how many messages a reader that begins reads of what was before: 20 seconds of the
	// highest peak, a quarter of an hour of an ordinary day.
	backlog = 1 << 16
	// tokenInfo tells the key of positions from others that are derived from the same.
	tokenInfo = "orderd watch token"
)

var (
	// ErrFull says that the hub has as many watchers as it may.
	ErrFull = errors.New("too many watchers")
	// ErrNotReading says that the stream was not read yet since the pod began.
	ErrNotReading = errors.New("the stream of changes was not read yet")
	// ErrTooOld says that what has changed since a position is not known any more.
	ErrTooOld = errors.New("what changed since then is not known any more")
	// ErrBehind says that a watcher may have missed changes: more than it may have were not asked for, or
	// the reader missed some.
	ErrBehind = errors.New("changes were missed")
	// ErrInvalidToken says that a token is not one of this shop's.
	ErrInvalidToken = errors.New("not a token of a position")
)

// Options of a Hub. All have to be set but Registerer.
type Options struct {
	JetStream jetstream.JetStream
	// OrderIDKey is the OrderCluster's; the key that hides positions is derived from it.
	OrderIDKey []byte
	// Random spreads retries; nobody else may use it.
	Random     *rand.Rand
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Hub has a pod's watchers and their reader. Safe for concurrent use.
type Hub struct {
	js      jetstream.JetStream
	seal    cipher.Block
	random  *backoff.Random
	log     *slog.Logger
	metrics *metrics

	mu sync.Mutex
	// reading is set once all that was in the stream at the begin was read.
	reading  bool
	recent   recent
	watchers int
	orders   map[uuid.UUID]map[*Order]struct{}
	buyers   map[buyer]map[*Buyer]struct{}
}

// buyer is what all order ids of a buyer have in common. Two buyers may share it.
type buyer = [6]byte

func buyerOf(orderID uuid.UUID) buyer { return buyer(orderID[:6]) }

// New makes a hub; Run starts its reader. An error is the key's or the registerer's.
func New(o Options) (*Hub, error) {
	if len(o.OrderIDKey) < orderid.MinKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", orderid.ErrShortKey, len(o.OrderIDKey), orderid.MinKeyBytes)
	}
	key, err := hkdf.Key(sha256.New, o.OrderIDKey, nil, tokenInfo, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of positions: %w", err)
	}
	seal, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key of positions: %w", err)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Hub{
		js: o.JetStream, seal: seal, random: backoff.NewRandom(o.Random), log: o.Logger, metrics: m,
		recent: newRecent(recentChanges),
		orders: map[uuid.UUID]map[*Order]struct{}{}, buyers: map[buyer]map[*Buyer]struct{}{},
	}, nil
}
