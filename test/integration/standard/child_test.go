package standard_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
)

// What a child is told through its environment.
const (
	childVariable    = "ORDERD_TEST_CHILD"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"
	natsVariable     = "ORDERD_TEST_CHILD_NATS"
)

// What a child does.
const (
	// childServes serves until it is killed.
	childServes = "serve"
	// childDiesAfterPlacing dies between a placed order's commit and its answer.
	childDiesAfterPlacing = "die-after-placing"
	// childDiesCallingProvider dies between a payment's reservation and the provider's answer.
	childDiesCallingProvider = "die-calling-provider"
	// childDiesAfterPublishing relays, and dies between an event's acknowledgement and its deletion.
	childDiesAfterPublishing = "die-after-publishing"
)

// die ends this process as a lost machine would: nothing runs after it.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// runChild does one of the children's parts until standard input closes, which the
// parent's death does too.
func runChild(mode string) int {
	var o podOptions
	switch mode {
	case childDiesAfterPublishing:
		go relayAndDie()
		return untilInputCloses()
	case childDiesAfterPlacing:
		o.wrapOrders = func(h orderv1connect.OrderServiceHandler) orderv1connect.OrderServiceHandler { return dyingOrders{h} }
	case childDiesCallingProvider:
		o.wrapProvider = func(s *sandbox.Sandbox) payment.Provider { return dyingProvider{s} }
	}
	p, err := startPod(os.Getenv(databaseVariable), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(p.url)
	return untilInputCloses()
}

func untilInputCloses() int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

type dyingOrders struct {
	orderv1connect.OrderServiceHandler
}

func (d dyingOrders) PlaceOrder(
	ctx context.Context, req *orderv1.PlaceOrderRequest,
) (*orderv1.PlaceOrderResponse, error) {
	answer, err := d.OrderServiceHandler.PlaceOrder(ctx, req)
	if err == nil {
		die()
	}
	return answer, err
}

type dyingProvider struct{ *sandbox.Sandbox }

func (dyingProvider) Create(context.Context, payment.Charge) (payment.Session, error) {
	die()
	return payment.Session{}, nil
}

// dyingDial connects to the database, and dies before a deletion from the outbox is sent.
func dyingDial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return dyingConn{conn}, err
}

type dyingConn struct{ net.Conn }

func (c dyingConn) Write(sent []byte) (int, error) {
	if bytes.Contains(sent, []byte("DELETE FROM outbox")) {
		die()
	}
	return c.Conn.Write(sent)
}

// relayAndDie dies once events have been acknowledged.
func relayAndDie() {
	conn, err := nats.Connect(os.Getenv(natsVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	js, err := jetstream.New(conn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	config, err := pgxpool.ParseConfig(os.Getenv(databaseVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	config.ConnConfig.DialFunc = dyingDial
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	relay, err := outbox.NewRelay(outbox.RelayOptions{
		Pool: pool, JetStream: js, Replicas: 1, Source: merchant, Worker: "dying",
		Interval: 20 * time.Millisecond, TTL: time.Second, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	_ = relay.Run(context.Background())
}

// child is this test binary, running again.
type child struct {
	cmd *exec.Cmd
	// url of what it serves, if it does.
	url  string
	done chan struct{}
}

// startChild starts a child; one that serves does so when this returns. It is killed when the spec
// ends.
func startChild(mode, databaseURL, natsURL string) *child {
	GinkgoHelper()
	c := &child{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childVariable+"="+mode, databaseVariable+"="+databaseURL, natsVariable+"="+natsURL)
	c.cmd.Stderr = GinkgoWriter
	stdin, err := c.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	stdout, err := c.cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(c.cmd.Start()).To(Succeed())
	if mode != childDiesAfterPublishing {
		line, err := bufio.NewReader(stdout).ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		c.url = strings.TrimSpace(line)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
	}()
	DeferCleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
		_ = stdin.Close()
	})
	return c
}

// killed waits until the child has killed itself.
func (c *child) killed() {
	GinkgoHelper()
	Eventually(c.done).WithTimeout(patience).Should(BeClosed())
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	Expect(ok).To(BeTrue())
	Expect(status.Signal()).To(Equal(syscall.SIGKILL))
}
