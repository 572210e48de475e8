package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orderd-dev/orderd/orderd/shop/schema"
)

// health answers the kubelet. A pod is live while its process answers; it is ready when its role says
// so and it is not draining.
type health struct {
	draining atomic.Bool
	ready    func() error
}

var errDraining = errors.New("draining")

// problem is why the pod should get no new requests; nil if it should.
func (h *health) problem() error {
	if h.draining.Load() {
		return errDraining
	}
	return h.ready()
}

// isDraining tells whether the pod drains. Connections end with their next answer then: when the listener
// closes, hardly any is left that a caller could write to in that very moment.
func (h *health) isDraining(*http.Request) bool { return h.draining.Load() }

// handlers are those of the admin listener, by their patterns.
func (h *health) handlers(gatherer prometheus.Gatherer) map[string]http.Handler {
	live := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }
	ready := func(w http.ResponseWriter, r *http.Request) {
		if err := h.problem(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		live(w, r)
	}
	return map[string]http.Handler{
		"GET /livez":   http.HandlerFunc(live),
		"GET /readyz":  http.HandlerFunc(ready),
		"GET /metrics": promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}),
	}
}

// migratedTimeout bounds one look at the database for readiness.
const migratedTimeout = time.Second

// untilMigrated is ready from the first time that the database answers and has this version's tables.
// A later outage does not change it: every pod would be taken out at once, and callers told nothing.
func untilMigrated(pool *pgxpool.Pool) func() error {
	var seen atomic.Bool
	return func() error {
		if seen.Load() {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), migratedTimeout)
		defer cancel()
		migrated, err := schema.Migrated(ctx, pool)
		if err != nil {
			// What the driver says holds the server's address and the user.
			return errors.New("the database does not answer")
		}
		if !migrated {
			return errors.New("the database is not migrated to this version")
		}
		seen.Store(true)
		return nil
	}
}
