package journeys

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
)

// fairWeather is how long everything around orderd works between two faults at most, and stormy how
// long a fault lasts. More of them would leave breakers no time to close, and find nothing else.
const (
	fairWeather = 2 * time.Second
	stormy      = 300 * time.Millisecond
)

// storm is one fault of what is around orderd, and its end.
type storm struct {
	name       string
	begin, end func()
}

func (w *world) storms() []storm {
	fault := func(name string, f carrier.Faults) storm {
		return storm{"carrier: " + name, func() { w.carrier.Set(f) }, func() { w.carrier.Set(carrier.Faults{}) }}
	}
	return []storm{
		fault("dead", carrier.Faults{Dead: true}),
		fault("loses answers", carrier.Faults{LoseAnswers: true}),
		fault("slow and twice", carrier.Faults{Slow: 40 * time.Millisecond, Duplicate: true}),
		{"gateway: refuses", func() {
			w.gateway.SetFault(func(pushgateway.Notification) pushgateway.Fault { return pushgateway.Fault{Status: 503} })
		}, func() { w.gateway.SetFault(nil) }},
		{"messaging restarts", w.messaging.Restart, func() {}},
		{"database connections are cut", w.cut, func() {}},
		{"database connections are cut twice", w.cut, w.cut},
	}
}

// cut ends some of the pods' connections to the database, in whatever they are doing.
// CockroachDB has no such words.
func (w *world) cut() {
	_, _ = w.pool.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
		WHERE datname = current_database() AND application_name <> 'journeys' ORDER BY random() LIMIT 12) p`)
}

// weather lets faults come and go until the function that it returns is called, which
// ends in fair weather.
func (w *world) weather(seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	random := rand.New(rand.NewPCG(seed, 1))
	go func() {
		defer close(done)
		for {
			storms := w.storms()
			s := storms[random.IntN(len(storms))]
			if !wait(ctx, time.Duration(random.Int64N(int64(fairWeather)))) {
				return
			}
			s.begin()
			w.faults = append(w.faults, s.name)
			going := wait(ctx, time.Duration(random.Int64N(int64(stormy))))
			s.end()
			if !going {
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// wait is false if it was for nothing.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
