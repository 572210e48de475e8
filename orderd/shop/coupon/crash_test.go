package coupon_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// What a child is told through its environment.
const (
	childVariable    = "ORDERD_TEST_CHILD"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"
	// stepVariable is the statement at which the child dies, and sentVariable
	// whether it is sent before.
	stepVariable = "ORDERD_TEST_CHILD_STEP"
	sentVariable = "ORDERD_TEST_CHILD_SENT"

	childClaims = "claim"
	childLocks  = "lock"

	commit = "commit"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childVariable); mode != "" {
		fmt.Fprintln(os.Stderr, "the child lives on:", runChild(mode))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runChild does its part on a connection that kills this process at one step.
func runChild(mode string) error {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(os.Getenv(databaseVariable))
	if err != nil {
		return err
	}
	step := []byte(os.Getenv(stepVariable))
	if string(step) == commit {
		// The end of the message, which no variable can hold, tells it from the BEGIN of a READ
		// COMMITTED transaction.
		step = append(step, 0)
	}
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return dyingConn{Conn: conn, step: step, sent: os.Getenv(sentVariable) != ""}, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	if mode == childClaims {
		store := coupon.NewStore(coupon.StoreOptions{Pool: pool, Clock: time.Now, Random: rand.Reader})
		_, err := coupon.NewService(store).ClaimCoupon(ctx, claimOfChild())
		return err
	}
	wish, err := wishOfChild(ctx, pool)
	if err != nil {
		return err
	}
	return database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
		_, err := coupon.LockFor(ctx, tx, []coupon.Wish{wish}, time.Now())
		return err
	})
}

func claimOfChild() *couponv1.ClaimCouponRequest {
	return &couponv1.ClaimCouponRequest{RequestId: "child", BuyerId: "ann", Template: "lucky"}
}

// wishOfChild is an order that wants all of ann's coupons.
func wishOfChild(ctx context.Context, pool *pgxpool.Pool) (coupon.Wish, error) {
	w := coupon.Wish{OrderID: uuid.UUID{15: 7}, BuyerID: "ann"}
	rows, err := pool.Query(ctx, "SELECT coupon_id FROM coupons WHERE buyer_id = 'ann'")
	if err != nil {
		return w, err
	}
	w.CouponIDs, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return w, err
}

// dyingConn ends this process as a lost machine would, before a step is sent or right after.
type dyingConn struct {
	net.Conn
	step []byte
	sent bool
}

func (c dyingConn) Write(b []byte) (int, error) {
	if !bytes.Contains(b, c.step) {
		return c.Conn.Write(b)
	}
	if c.sent {
		_, _ = c.Conn.Write(b)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// runAndDie runs this test binary again and waits until it has killed itself.
func runAndDie(t *testing.T, mode, dsn, step string, sent bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+mode, databaseVariable+"="+dsn, stepVariable+"="+step)
	if sent {
		cmd.Env = append(cmd.Env, sentVariable+"=1")
	}
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child did not die: %v: %s", err, out)
	}
}

// The steps of a transaction at which a pod may be lost.
var steps = []struct {
	name, statement string
	sent            bool
}{
	{"before the effect", "coupon_history", false},
	{"before the commit", commit, false},
	{"with the commit sent", commit, true},
}

// A pod that is lost at any step of a claim of a red envelope's part leaves nothing behind that is
// not whole: the retry, by another pod, finds the coupon or makes it, and one part is taken.
func TestClaimsSurviveCrashes(t *testing.T) {
	for _, step := range append(steps, struct {
		name, statement string
		sent            bool
	}{"between the part and its coupon", "INSERT INTO coupons ", false}) {
		t.Run(step.name, func(t *testing.T) {
			s, dsn := openShop(t)
			s.upsert(t, envelope("lucky", 1000, 10))
			runAndDie(t, childClaims, dsn, step.statement, step.sent)
			answer, err := s.service.ClaimCoupon(context.Background(), claimOfChild())
			if err != nil {
				t.Fatal(err)
			}
			if n := s.number(t, "SELECT count(*) FROM coupons"); n != 1 || s.spent(t, "lucky") != 1 {
				t.Errorf("%d coupons, %d spent; want 1", n, s.spent(t, "lucky"))
			}
			amount := s.number(t, "SELECT amount FROM coupons")
			if answer.GetCoupon().GetAmount().GetAmount() != amount {
				t.Errorf("the answer says %v, the coupon is worth %d", answer, amount)
			}
			for i := range 9 {
				if _, err := s.claim("lucky", fmt.Sprintf("buyer%d", i)); err != nil {
					t.Fatal(err)
				}
			}
			if sum := s.number(t, "SELECT sum(amount)::bigint FROM coupons"); sum != 1000 {
				t.Errorf("all parts are %d, want 1000", sum)
			}
		})
	}
}

// An order has all of its coupons locked or none, with their histories, wherever its pod is lost;
// and a retry has them all.
func TestLocksSurviveCrashes(t *testing.T) {
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			s, dsn := openShop(t)
			s.now = time.Now()
			for _, name := range []string{"a", "b", "c"} {
				s.upsert(t, fixed(name, nil))
				if _, err := s.claim(name, "ann"); err != nil {
					t.Fatal(err)
				}
			}
			runAndDie(t, childLocks, dsn, step.statement, step.sent)
			ctx := context.Background()
			wish, err := wishOfChild(ctx, s.pool)
			if err != nil {
				t.Fatal(err)
			}
			// Taking the rows waits for what the server still does for the lost pod.
			var failed map[uuid.UUID]*coupon.UnusableError
			err = s.tx(func(ctx context.Context, tx pgx.Tx) error {
				var before int64
				if err := tx.QueryRow(
					ctx,
					`SELECT count(*) FROM (SELECT state FROM coupons WHERE state = 'LOCKED' FOR UPDATE) AS l`,
				).Scan(&before); err != nil {
					return err
				}
				if before != 0 && before != 3 {
					return fmt.Errorf("%d of 3 coupons are locked", before)
				}
				failed, err = coupon.LockFor(ctx, tx, []coupon.Wish{wish}, s.now)
				return err
			})
			if err != nil || len(failed) > 0 {
				t.Fatalf("locking again: %v, %v", failed, err)
			}
			locked := s.number(t, "SELECT count(*) FROM coupons WHERE state = 'LOCKED' AND order_id = $1 AND version = 2",
				wish.OrderID)
			history := s.number(t, "SELECT count(*) FROM coupon_history WHERE to_state = 'LOCKED'")
			if locked != 3 || history != 3 {
				t.Errorf("%d coupons are locked, %d rows of history; want 3", locked, history)
			}
		})
	}
}

func openShop(t *testing.T) (*shop, string) {
	t.Helper()
	dsn := testdb.NewMigrated(t)
	pool, err := database.Open(context.Background(), dsn, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return newShopOn(pool), dsn
}
