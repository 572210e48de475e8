// Package backends keeps the operator's own connections to the databases and NATS systems of the
// OrderClusters, one of each an OrderCluster, made from the Secrets it names.
//
// What holds, so that what is dead at one OrderCluster is no other's problem:
//   - No lock is held while something outside is waited for. A caller whose context ends returns.
//   - Every statement and every request has a deadline of its own, well before a reconcile's.
//   - What did not answer is not asked again for a while, which grows up to 5 seconds: whoever comes
//     meanwhile has the last error at once, and one caller tries when it is over. Checks always ask.
//   - Other settings are tried at once. Checks read Secrets as they are, so that what changed in one is known
//     as soon as the OrderCluster was checked; others use what was read up to 5 seconds ago.
package backends

import (
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// limits are how long what is outside may take.
type limits struct {
	// check bounds each of a check's steps. An OrderCluster has one check at a time.
	check time.Duration
	// patience is how long others than checks wait for a connection to NATS that is being made.
	patience time.Duration
	// request bounds a JetStream call whose context has no deadline of its own. The contexts of a reconcile
	// have one that is minutes away: whoever makes calls with them makes them with messaging.PerCall, as all
	// of a sale's are.
	request time.Duration
	// connect bounds the wait for a connection to a database, be it a new one or one that others use.
	connect time.Duration
	// statement bounds each statement. The database is not told: not all take a time-out for a transaction
	// that the client gave up.
	statement time.Duration
	// ping is how often NATS is asked for a sign of life; after about twice this long it is taken for lost.
	ping time.Duration
	// clock is how long JetStream's time is carried on before it is measured again.
	clock time.Duration
	// secrets is how long what was read of a Secret is used. Checks, which a changed Secret wakes, always read it.
	secrets time.Duration
}

func defaultLimits() limits {
	return limits{
		check: 5 * time.Second, patience: time.Second, request: 5 * time.Second,
		connect: 5 * time.Second, statement: 10 * time.Second, ping: 5 * time.Second,
		clock: 30 * time.Second, secrets: 5 * time.Second,
	}
}

// Error says why a backend cannot be used, as a condition's reason and message. It holds no secrets.
type Error struct {
	Reason  string
	Message string
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Registry hands out connections. It is safe for concurrent use.
type Registry struct {
	secrets client.Reader
	log     *slog.Logger
	limits  limits
	// born is when the monotonic clock's readings begin.
	born time.Time
	// read is what was read of Secrets and ConfigMaps a moment ago.
	read remembered

	mu sync.Mutex
	// mu guards entries.
	entries map[types.NamespacedName]*entry
}

// entry has what an OrderCluster is connected to, by the settings that were asked for last.
type entry struct {
	mu sync.Mutex
	// mu guards both; nil: not asked for yet.
	store *store
	line  *line
}

// NewRegistry returns a Registry that reads Secrets through the given reader, which should not cache
// them: the operator keeps no Secrets but those in use.
func NewRegistry(secrets client.Reader, log *slog.Logger) *Registry {
	return &Registry{
		secrets: secrets, log: log, limits: defaultLimits(), born: time.Now(), entries: map[types.NamespacedName]*entry{},
	}
}

func (r *Registry) entry(key types.NamespacedName) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key]
	if e == nil {
		e = &entry{}
		r.entries[key] = e
	}
	return e
}

// Forget closes the connections of an OrderCluster that is no more, and gives its NATS account back, if
// that can be reached.
func (r *Registry) Forget(key types.NamespacedName) {
	e := r.remove(key)
	if e == nil {
		return
	}
	e.mu.Lock()
	l := e.line
	e.mu.Unlock()
	if l != nil {
		if err := l.release(r.limits.check); err != nil {
			r.log.Warn("the NATS account of a deleted OrderCluster was not given back: whoever gets it has to take it over",
				"namespace", key.Namespace, "ordercluster", key.Name, "error", err)
		}
	}
	e.close()
}

// Close ends all connections.
func (r *Registry) Close() {
	r.mu.Lock()
	entries := r.entries
	r.entries = map[types.NamespacedName]*entry{}
	r.mu.Unlock()
	for _, e := range entries {
		e.close()
	}
}

func (r *Registry) remove(key types.NamespacedName) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key]
	delete(r.entries, key)
	return e
}

func (e *entry) close() {
	e.mu.Lock()
	s, l := e.store, e.line
	e.store, e.line = nil, nil
	e.mu.Unlock()
	if s != nil {
		s.pool.Close()
	}
	if l != nil {
		l.close()
	}
}
