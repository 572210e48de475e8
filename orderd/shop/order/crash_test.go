package order_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// What a child is told through its environment: the database, and at which message of its fourth
// transaction it dies.
const (
	childDatabase = "ORDERD_TEST_CHILD_DATABASE"
	childDiesAt   = "ORDERD_TEST_CHILD_DIES_AT"

	dyingTransaction = 4
	crashOrders      = 120
	crashBatch       = 16
)

// crashLimits are never reached: they only have the buyers' orders counted.
var crashLimits = order.Limits{Orders: crashOrders, Units: 9999}

// TestMain runs a child's part when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	if url := os.Getenv(childDatabase); url != "" {
		if err := placeAndDie(url, os.Getenv(childDiesAt)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// dyingConn is one of the child's connections to the database. Its process dies as a lost machine
// would: at a message of a transaction, before or after the message is sent.
type dyingConn struct {
	net.Conn
	begun  *atomic.Int64
	at     int
	after  bool
	inside int
	armed  bool
}

func (c *dyingConn) Write(sent []byte) (int, error) {
	if bytes.Contains(sent, []byte("begin")) {
		c.armed, c.inside = c.begun.Add(1) == dyingTransaction, 0
	}
	dies := c.armed && c.inside == c.at
	c.inside++
	if dies && !c.after {
		die()
	}
	n, err := c.Conn.Write(sent)
	if dies {
		die()
	}
	return n, err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// placeAndDie places orders at once and prints the request and the order of each
// that was acknowledged.
func placeAndDie(url, when string) error {
	var at int
	var after bool
	if _, err := fmt.Sscanf(when, "%d %t", &at, &after); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	var begun atomic.Int64
	config.MaxConns = 1
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &dyingConn{Conn: conn, begun: &begun, at: at, after: after}, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return err
	}
	service, err := newService(pool, time.Now, order.ServiceOptions{MaxBatch: crashBatch, Limits: crashLimits})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i := range crashOrders {
		wg.Go(func() {
			if answer, err := service.PlaceOrder(context.Background(), crashRequest(i)); err == nil {
				fmt.Println(i, answer.GetOrder().GetOrderId())
			}
		})
	}
	wg.Wait()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func crashRequest(i int) *orderv1.PlaceOrderRequest {
	return &orderv1.PlaceOrderRequest{
		RequestId: "r",
		BuyerId:   fmt.Sprintf("buyer%d", i),
		Lines:     []*orderv1.PlaceOrderLine{line("tea", 1), line("cup", int64(1+i%3))},
	}
}

// Wherever in a batch of orders a process dies, every order that it acknowledged is there, those of
// the batch are there all or none, stock is what the orders hold, and repeating all requests makes
// each of them one order.
func TestDyingWhilePlacing(t *testing.T) {
	// begin, savepoint, claims and locks, rows, release, commit.
	for at := range 6 {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(at, after), func(t *testing.T) { dieWhilePlacing(t, at, after) })
		}
	}
}

func dieWhilePlacing(t *testing.T, at int, after bool) {
	url := testdb.NewMigrated(t)
	s := openShop(t, url)
	for sku, units := range map[string]int64{"tea": 1000, "cup": 1000} {
		if err := s.stocked(sku, units); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged := runChild(t, url, fmt.Sprint(at, " ", after))
	ctx := context.Background()
	if len(acknowledged) == 0 || len(acknowledged) == crashOrders {
		t.Fatalf("%d orders were acknowledged", len(acknowledged))
	}
	s.holdsWhatOrdersHold(t)
	s.countsWhatIsUnpaid(t)
	for i := range crashOrders {
		answer, err := s.service.PlaceOrder(ctx, crashRequest(i))
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := acknowledged[i]; ok && answer.GetOrder().GetOrderId() != was {
			t.Errorf("request %d was acknowledged as %s and is %s", i, was, answer.GetOrder().GetOrderId())
		}
	}
	if n := s.count(t, "orders"); n != crashOrders {
		t.Errorf("%d orders, want %d", n, crashOrders)
	}
	s.holdsWhatOrdersHold(t)
	s.countsWhatIsUnpaid(t)
}

// holdsWhatOrdersHold fails unless stock and the tables beside the orders are what the orders say.
// All is read at one moment, because the database may still be at work on what the child has sent.
func (s *shop) holdsWhatOrdersHold(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	err := pgx.BeginTxFunc(
		ctx,
		s.pool,
		pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error {
			var orders, requests, changes, events int64
			err := tx.QueryRow(
				ctx,
				"SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM requests), (SELECT count(*) FROM order_history), (SELECT count(*) FROM outbox)",
			).
				Scan(&orders, &requests, &changes, &events)
			if err != nil {
				return err
			}
			if requests != orders || changes != orders || events != orders {
				t.Errorf("%d orders, %d requests, %d changes, %d events", orders, requests, changes, events)
			}
			for _, sku := range []string{"tea", "cup"} {
				var ordered, moved int64
				err := tx.QueryRow(ctx, `SELECT (SELECT coalesce(sum(quantity), 0)::bigint FROM order_lines WHERE sku = $1),
				(SELECT coalesce(sum(reserved), 0)::bigint FROM stock_movements WHERE sku = $1)`, sku).Scan(&ordered, &moved)
				if err != nil {
					return err
				}
				got, err := stock.Get(ctx, tx, sku)
				if err != nil {
					return err
				}
				if got != (stock.Levels{Available: 1000 - ordered, Reserved: ordered}) || moved != ordered {
					t.Errorf("%d of %s are ordered, %d moved: %+v", ordered, sku, moved, got)
				}
			}
			return nil
		},
	)
	if err != nil {
		t.Fatal(err)
	}
}

// runChild runs this test binary again until it has killed itself, and returns the orders it
// acknowledged, by their requests.
func runChild(t *testing.T, url, diesAt string) map[int]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDatabase+"="+url, childDiesAt+"="+diesAt)
	var failed strings.Builder
	cmd.Stderr = &failed
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[int]string{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var i int
		var id string
		if _, err := fmt.Sscan(lines.Text(), &i, &id); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		acknowledged[i] = id
	}
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v: %s", cmd.ProcessState, failed.String())
	}
	return acknowledged
}
