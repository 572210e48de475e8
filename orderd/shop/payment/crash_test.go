package payment_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// What a child is told through its environment: the call of the provider that it dies at, whether
// before or after it, and where its work is.
const (
	childCall     = "ORDERD_TEST_CHILD_CALL"
	childWhen     = "ORDERD_TEST_CHILD_WHEN"
	childDatabase = "ORDERD_TEST_CHILD_DATABASE"
	childTime     = "ORDERD_TEST_CHILD_TIME"
	childBuyer    = "ORDERD_TEST_CHILD_BUYER"
	childOrder    = "ORDERD_TEST_CHILD_ORDER"
)

func TestMain(m *testing.M) {
	if call := os.Getenv(childCall); call != "" {
		os.Exit(child(call))
	}
	os.Exit(m.Run())
}

// die ends this process as a lost machine would: nothing runs after it.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// alone is a tester outside of a test.
type alone struct{}

func (alone) Helper() {}
func (alone) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}
func (a alone) Fatalf(format string, args ...any) { a.Fatal(fmt.Sprintf(format, args...)) }
func (alone) Cleanup(func())                      {}

// child does one of the jobs and dies at the provider's call.
func child(call string) int {
	at, err := time.Parse(time.RFC3339Nano, os.Getenv(childTime))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pool, err := database.Open(context.Background(), os.Getenv(childDatabase), 4)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := openShop(alone{}, pool, at)
	// A parent that dies takes its child with it.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	dying := func(name string) error {
		if name == call {
			die()
		}
		return nil
	}
	if os.Getenv(childWhen) == "before" {
		s.faults.set(dying, nil)
	} else {
		s.faults.set(nil, dying)
	}
	switch call {
	case "create":
		_, err = s.service.CreatePayment(context.Background(), crashRequest(os.Getenv(childBuyer), os.Getenv(childOrder)))
	case "refund", "query refund":
		err = s.refunds.Round(context.Background())
	default:
		err = s.poller.Round(context.Background())
	}
	fmt.Println("survived", err)
	return 0
}

func crashRequest(buyer, id string) *paymentv1.CreatePaymentRequest {
	return &paymentv1.CreatePaymentRequest{RequestId: "crash", BuyerId: buyer, OrderId: id, Provider: "sandbox"}
}

// killed has a child do its job on the shop's database, and waits until it has killed itself at the
// call.
func (s *shop) killed(t *testing.T, call, when string, o *orderv1.Order) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childCall+"="+call, childWhen+"="+when, childDatabase+"="+s.pool.Config().ConnString(),
		childTime+"="+s.clock.now().Format(time.RFC3339Nano), childBuyer+"="+o.GetBuyerId(), childOrder+"="+o.GetOrderId())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	s.must(err)
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err == nil {
		t.Errorf("the child said %q", line)
	}
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v", cmd.ProcessState)
	}
}

func beforeAndAfter(t *testing.T, test func(t *testing.T, s *shop, when string)) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			s := newShop(t)
			s.sell(5)
			test(t, s, when)
		})
	}
}

func TestAPodThatDiesAtACreate(t *testing.T) {
	beforeAndAfter(t, func(t *testing.T, s *shop, when string) {
		o := s.place("ann", 1)
		s.killed(t, "create", when, o)
		if n := s.count("payments", "state = 'CREATED'"); n != 1 {
			t.Fatalf("%d payments are CREATED", n)
		}
		answer, err := s.service.CreatePayment(context.Background(), crashRequest("ann", o.GetOrderId()))
		s.must(err)
		if status := s.pay(answer.GetRedirectUrl()); status != 200 {
			t.Fatalf("paying: %d", status)
		}
		s.wantOrder(o, paid)
		if n := s.count("payments", "true"); n != 1 {
			t.Errorf("%d payments", n)
		}
	})
}

func TestAPodThatDiesAtARefund(t *testing.T) {
	beforeAndAfter(t, func(t *testing.T, s *shop, when string) {
		o := s.cancelled("ann", 2)
		r := s.onlyRefund(o, requested)
		s.killed(t, "refund", when, o)
		s.onlyRefund(o, requested)
		s.refund()
		s.onlyRefund(o, refunded)
		if n := s.count("sandbox_transactions", "state = 'REFUNDED' AND refund_id = $1", r.GetRefundId()); n != 1 {
			t.Errorf("the sandbox knows it %d times", n)
		}
		if n := s.count("sandbox_transactions", "state = 'REFUNDED'"); n != 1 {
			t.Errorf("the sandbox has paid back %d times", n)
		}
		if n := s.count("order_lines", "order_id = $1 AND refunded = $2", o.GetOrderId(), 2*unitPrice); n != 1 {
			t.Error("the order does not know of its refund")
		}
	})
}

func TestAPodThatDiesAtAClose(t *testing.T) {
	beforeAndAfter(t, func(t *testing.T, s *shop, when string) {
		o := s.place("ann", 1)
		c := s.charge(o)
		s.cancel(o)
		s.clock.advance(time.Minute)
		s.killed(t, "close", when, o)
		s.wantPayment(c.GetPayment(), statePending)
		s.poll()
		s.wantPayment(c.GetPayment(), stateClosed)
		if status := s.pay(c.GetRedirectUrl()); status != 410 {
			t.Errorf("paying a closed payment: %d", status)
		}
	})
}

func TestAPodThatDiesAtAQuery(t *testing.T) {
	beforeAndAfter(t, func(t *testing.T, s *shop, when string) {
		o := s.place("ann", 1)
		c := s.charge(o)
		s.lost.Store(true)
		s.pay(c.GetRedirectUrl())
		s.clock.advance(time.Minute)
		s.killed(t, "query", when, o)
		s.wantOrder(o, unpaid)
		s.poll()
		s.wantOrder(o, paid)
		if n := s.count("order_history", "order_id = $1 AND event = 'pay'", o.GetOrderId()); n != 1 {
			t.Errorf("paid %d times", n)
		}
	})
}
