package consume_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// What a child is told through its environment.
const (
	childVariable    = "ORDERD_TEST_CHILD"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"
	natsVariable     = "ORDERD_TEST_CHILD_NATS"
)

// What a child is about to send, to NATS or the database, when it dies.
const (
	inboxKey        = "INSERT INTO consumed_events"
	acknowledgement = "+ACK"
	termination     = "+TERM"
	deadLetter      = "HPUB order.deadletters."
)

// TestMain runs a child's part when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	if needle := os.Getenv(childVariable); needle != "" {
		os.Exit(runChild(needle))
	}
	os.Exit(m.Run())
}

// dyingDialer makes connections that end this process, as a lost machine would,
// before the needle is sent.
type dyingDialer struct{ needle string }

func (d dyingDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &dyingConn{Conn: conn, needle: []byte(d.needle)}, err
}

type dyingConn struct {
	net.Conn
	needle []byte
}

func (c *dyingConn) Write(sent []byte) (int, error) {
	if bytes.Contains(sent, c.needle) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return c.Conn.Write(sent)
}

// runChild consumes until it dies or standard input closes, which the parent's death does too.
func runChild(needle string) int {
	effect := note("reward")
	if needle != acknowledgement {
		effect = func(context.Context, *database.Tx, consume.Event) error { return errors.New("poison") }
	}
	conn, err := nats.Connect(os.Getenv(natsVariable), nats.SetCustomDialer(dyingDialer{needle}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	js, err := jetstream.New(conn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pool, err := database.Open(context.Background(), os.Getenv(databaseVariable), 4)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o := consume.Options{
		Name: "reward", Types: []string{typePaid}, JetStream: js, Pool: pool, Replicas: 1, Effect: effect, MaxAttempts: 1,
		AckWait: 2 * time.Second, Clock: time.Now, Random: rand.New(rand.NewPCG(1, 2)), Logger: logger(),
	}
	if needle == inboxKey {
		dying, err := pgxpool.ParseConfig(os.Getenv(databaseVariable))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		dying.ConnConfig.DialFunc = func(_ context.Context, network, address string) (net.Conn, error) {
			return dyingDialer{needle}.Dial(network, address)
		}
		if o.Pool, err = pgxpool.NewWithConfig(context.Background(), dying); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		o.Name, o.Effect, o.Delivery = "push", nil, tell(pool)
	}
	c, err := consume.New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = c.Run(context.Background()) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// tell is a delivery to a table, outside of any transaction of the consumer's.
func tell(pool *pgxpool.Pool) consume.Delivery {
	return func(ctx context.Context, e consume.Event) error {
		_, err := pool.Exec(ctx, "INSERT INTO effects (consumer, event_id) VALUES ('push', $1)", e.ID)
		return err
	}
}

// dies runs a child until it has killed itself.
func (w *world) dies(needle string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+needle, databaseVariable+"="+w.databaseURL,
		natsVariable+"="+w.nats.URL())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	err = cmd.Run()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL || ctx.Err() != nil {
		w.t.Fatalf("the child ended with %v, want that it kills itself", err)
	}
}

func TestKilledBetweenCommitAndAcknowledgement(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(50)
	w.dies(acknowledgement)
	if n := len(w.effects("reward")); n == 0 {
		t.Fatal("no effect is committed")
	}
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	eventually(t, "all effects", func() bool { return len(w.effects("reward")) == len(ids) })
	w.finished("reward")
	if diff := cmp.Diff(once(ids), w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestKilledBetweenDeliveryAndInboxKey(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(20)
	w.dies(inboxKey)
	first := w.effects("push")
	if len(first) == 0 {
		t.Fatal("nothing is delivered")
	}
	w.consumer(consume.Options{Name: "push", Delivery: tell(w.pool)})
	w.finished("push")
	got := w.effects("push")
	for _, id := range ids {
		// What was delivered and not noted comes again with the same id; nothing else does.
		if want := 1 + first[id]; got[id] < 1 || got[id] > want {
			t.Errorf("%s was delivered %d times, want 1 to %d", id, got[id], want)
		}
	}
}

func TestKilledAroundADeadLetter(t *testing.T) {
	for name, needle := range map[string]string{
		"before it is published": deadLetter, "before the event is terminated": termination,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids := w.paid(1)
			w.dies(needle)
			published := len(w.deadLetters("reward"))
			if want := map[string]int{deadLetter: 0, termination: 1}[needle]; published != want {
				t.Fatalf("%d dead letters when the child died, want %d", published, want)
			}
			// What is decided stays so: although the effect would work now, the
			// event is a dead letter.
			w.consumer(consume.Options{Name: "reward", MaxAttempts: 1, Effect: note("reward")})
			w.finished("reward")
			letters := w.deadLetters("reward")
			if len(letters) != 1 || letters[0].Header.Get("ce-id") != ids[0] ||
				letters[0].Header.Get("Orderd-Reason") != "handling events: poison" {
				t.Fatalf("dead letters %v, want one of %s", letters, ids[0])
			}
			if n := len(w.effects("reward")); n != 0 {
				t.Fatalf("%d effects, want none before a replay", n)
			}
			w.replay("reward", letters[0])
			eventually(t, "the replay's effect", func() bool { return len(w.effects("reward")) == 1 })
			w.finished("reward")
			if diff := cmp.Diff(once(ids), w.effects("reward")); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		})
	}
}
