package reward_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const (
	childVariable    = "ORDERD_TEST_CHILD"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"
	natsVariable     = "ORDERD_TEST_CHILD_NATS"

	// childDiesBefore dies with its grants written and not committed, childDiesAfter
	// with the commit sent.
	childDiesBefore = "before"
	childDiesAfter  = "after"

	// patience is how long a condition may take to come true on a busy machine.
	patience = time.Minute
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childVariable); mode != "" {
		fmt.Fprintln(os.Stderr, "the child lives on:", runChild(mode))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runChild consumes until it kills itself in the transaction of a grant.
func runChild(mode string) error {
	conn, err := nats.Connect(os.Getenv(natsVariable))
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(os.Getenv(databaseVariable))
	if err != nil {
		return err
	}
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &dyingConn{Conn: conn, after: mode == childDiesAfter}, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return err
	}
	c, err := newConsumer(pool, js, time.Now)
	if err != nil {
		return err
	}
	return c.Run(context.Background())
}

func newConsumer(pool *pgxpool.Pool, js jetstream.JetStream, clock func() time.Time) (*consume.Consumer, error) {
	coupons := coupon.NewStore(coupon.StoreOptions{Pool: pool, Clock: clock, Random: rand.Reader})
	store := reward.NewStore(reward.StoreOptions{Pool: pool, Coupons: coupons, Clock: clock})
	return consume.New(consume.Options{
		Name:        "reward",
		JetStream:   js,
		Replicas:    1,
		Pool:        pool,
		Types:       reward.Types(),
		BatchEffect: store.Handle,
		Batch:       reward.Batch,
		AckWait:     2 * time.Second,
		Clock:       time.Now,
		Random:      mathrand.New(mathrand.NewPCG(1, 2)),
		Logger:      slog.New(slog.DiscardHandler),
	})
}

// dyingConn ends this process as a lost machine would, at the commit of the first transaction that
// has granted something.
type dyingConn struct {
	net.Conn
	after, granted bool
}

func (c *dyingConn) Write(b []byte) (int, error) {
	c.granted = c.granted || bytes.Contains(b, []byte("INSERT INTO reward_grants"))
	if !c.granted || !bytes.Contains(b, []byte("commit")) {
		return c.Conn.Write(b)
	}
	if c.after {
		_, _ = c.Conn.Write(b)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// A pod is lost while it grants what is due for paid orders, before or with its commit; another
// takes over. Every order is rewarded once.
func TestRewardsSurviveCrashes(t *testing.T) {
	for _, mode := range []string{childDiesBefore, childDiesAfter} {
		t.Run(mode, func(t *testing.T) {
			const orders = 40
			dsn := testdb.NewMigrated(t)
			pool, err := database.Open(context.Background(), dsn, 12)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			s := newShopOn(pool)
			server := testnats.Run(t)
			js := server.JetStream(t)
			s.template(t, "thanks", 1000, 1000)
			s.campaign(t, "all", "thanks", 1000, nil)
			s.publish(t, js, orders)

			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"="+mode, databaseVariable+"="+dsn, natsVariable+"="+server.URL())
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the child did not die: %v: %s", err, out)
			}
			c, err := newConsumer(pool, js, func() time.Time { return s.now })
			if err != nil {
				t.Fatal(err)
			}
			run(t, c.Run)
			eventually(t, "all orders are rewarded", func() bool {
				spent, _ := s.spent(t, "all", "thanks")
				return spent >= orders
			})
			eventually(t, "nothing is left to be handled", func() bool {
				durable, err := js.Consumer(context.Background(), outbox.Stream, "reward")
				if err != nil {
					return false
				}
				info := durable.CachedInfo()
				return info.NumPending == 0 && info.NumAckPending == 0
			})
			if c, k := s.spent(t, "all", "thanks"); c != orders || k != orders {
				t.Errorf("%d grants, %d coupons; want %d", c, k, orders)
			}
			var buyers, coupons int64
			if err := pool.QueryRow(context.Background(),
				"SELECT count(DISTINCT buyer_id), count(*) FROM coupons").Scan(&buyers, &coupons); err != nil {
				t.Fatal(err)
			}
			if buyers != orders || coupons != orders {
				t.Errorf("%d coupons of %d buyers, want %d", coupons, buyers, orders)
			}
		})
	}
}

// publish has orders paid, and waits until the stream has their events.
func (s *shop) publish(t *testing.T, js jetstream.JetStream, orders int) {
	t.Helper()
	var b pgx.Batch
	var events []outbox.Event
	for i := range orders {
		o := s.order(fmt.Sprintf("buyer%d", i))
		e := event(o, &orderv1.OrderPaid{Order: o})
		if err := s.keep(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		events = append(events,
			outbox.Event{OrderID: e.OrderID, Version: 2, Name: outbox.NameOf(e.Type), Payload: e.Message, At: s.now})
	}
	if err := outbox.Queue(&b, events); err != nil {
		t.Fatal(err)
	}
	if err := s.pool.SendBatch(context.Background(), &b).Close(); err != nil {
		t.Fatal(err)
	}
	relay, err := outbox.NewRelay(outbox.RelayOptions{
		Pool: s.pool, JetStream: js, Replicas: 1, Source: "test/shop", Worker: "relay",
		Interval: 20 * time.Millisecond, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, relay.Run)
	eventually(t, "all events are published", func() bool {
		var left int64
		return s.pool.QueryRow(context.Background(), "SELECT count(*) FROM outbox").Scan(&left) == nil && left == 0
	})
}

// run runs a loop until the test ends.
func run(t *testing.T, loop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a loop ended with %v", err)
		}
	})
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
