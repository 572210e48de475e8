package consume_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/consume"
)

// wire is a database's network, which can be cut.
type wire struct {
	mu    sync.Mutex
	away  bool
	conns []net.Conn
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) set(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
	if away {
		for _, c := range w.conns {
			_ = c.Close()
		}
		w.conns = nil
	}
}

func (w *world) wired() (*pgxpool.Pool, *wire) {
	w.t.Helper()
	config, err := pgxpool.ParseConfig(w.databaseURL)
	if err != nil {
		w.t.Fatal(err)
	}
	cut := &wire{}
	config.ConnConfig.DialFunc = cut.dial
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	return pool, cut
}

func TestAnOutageOfTheDatabaseMakesNoDeadLetters(t *testing.T) {
	w := newWorld(t)
	pool, wire := w.wired()
	w.consumer(consume.Options{Name: "reward", Pool: pool, MaxAttempts: 2, Effect: note("reward")})
	w.consumer(consume.Options{
		Name:        "push",
		Pool:        pool,
		MaxAttempts: 2,
		Delivery:    func(context.Context, consume.Event) error { return nil },
	})
	before := w.paid(20)
	eventually(t, "effects before the outage", func() bool { return len(w.effects("reward")) == 20 })
	wire.set(true)
	during := w.paid(40)
	for _, consumer := range []string{"reward", "push"} {
		eventually(t, consumer+" tries more often than MaxAttempts", func() bool {
			info := w.info(consumer)
			return info != nil && info.Delivered.Consumer > 20+5*40
		})
		if n := len(w.deadLetters(consumer)); n != 0 {
			t.Errorf("%s: %d dead letters, want none", consumer, n)
		}
	}
	wire.set(false)
	w.finished("reward")
	w.finished("push")
	if diff := cmp.Diff(once(append(before, during...)), w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestAnOutageOfJetStreamIsOutlived(t *testing.T) {
	w := newWorld(t)
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	ids := w.paid(20)
	eventually(t, "effects before the outage", func() bool { return len(w.effects("reward")) == 20 })
	w.nats.Stop()
	ids = append(ids, w.paid(20)...)
	w.nats.Restart()
	eventually(t, "effects after the outage", func() bool { return len(w.effects("reward")) == 40 })
	w.finished("reward")
	if diff := cmp.Diff(once(ids), w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestTheSweeperDropsOldKeysOnly(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	// More than a sweep looks at, in one bucket, and some in another.
	_, err := w.pool.Exec(ctx,
		`INSERT INTO consumed_events (bucket, consumer, event_id, outcome, attempts, error, changed_at)
		SELECT CASE WHEN i < 2500 THEN 3 ELSE 5 END, 'reward', 'e' || i::text, 'DONE', 0, '', CASE WHEN i % 2 = 0 THEN now() - interval '9 days' ELSE now() - interval '7 days' END
		FROM generate_series(1, 3000) AS i`)
	if err != nil {
		t.Fatal(err)
	}
	sweeper, err := consume.NewSweeper(consume.SweeperOptions{
		Pool:     w.pool,
		Worker:   "one",
		Interval: 10 * time.Millisecond,
		Clock:    time.Now,
		Logger:   logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run(sweeper.Run)
	count := func(condition string) (n int) {
		if err := w.pool.QueryRow(ctx, "SELECT count(*) FROM consumed_events WHERE "+condition).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "old keys are gone", func() bool { return count("changed_at < now() - interval '8 days'") == 0 })
	if got := count("true"); got != 1500 {
		t.Errorf("%d keys are left, want 1500", got)
	}
}
