package delivery_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// What a child is told through its environment.
const (
	childVariable    = "ORDERD_TEST_CHILD"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"
	carrierVariable  = "ORDERD_TEST_CHILD_CARRIER"
)

// What a child does: it dies between a carrier's answer and its own commit, or between the commit
// of a push and the answer to it.
const (
	childDiesRequesting = "die-requesting"
	childDiesCancelling = "die-cancelling"
	childDiesTracking   = "die-tracking"
	childDiesPushed     = "die-pushed"
)

// die ends this process as a lost machine would: nothing runs after it.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// dying is a carrier whose answer to one kind of call nobody lives to read.
type dying struct {
	carrier.Carrier
	mode string
}

func (d dying) Request(ctx context.Context, p carrier.Parcel) (string, error) {
	number, err := d.Carrier.Request(ctx, p)
	if d.mode == childDiesRequesting && err == nil {
		die()
	}
	return number, err
}

func (d dying) Cancel(ctx context.Context, id uuid.UUID) error {
	err := d.Carrier.Cancel(ctx, id)
	if d.mode == childDiesCancelling && err == nil {
		die()
	}
	return err
}

func (d dying) Track(ctx context.Context, id uuid.UUID) ([]carrier.Event, error) {
	events, err := d.Carrier.Track(ctx, id)
	if d.mode == childDiesTracking && err == nil {
		die()
	}
	return events, err
}

// runChild works, or takes pushes, until it dies or standard input closes, which the
// parent's death does too.
func runChild(mode string) int {
	if err := startChildsPart(mode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func startChildsPart(mode string) error {
	ctx := context.Background()
	pool, err := database.Open(ctx, os.Getenv(databaseVariable), connections)
	if err != nil {
		return err
	}
	shop, err := testorder.New(ctx, pool)
	if err != nil {
		return err
	}
	store, _, err := newStore(pool, shop, os.Getenv(carrierVariable), little,
		func(c carrier.Carrier) carrier.Carrier { return dying{c, mode} })
	if err != nil {
		return err
	}
	if mode != childDiesPushed {
		worker, err := newWorker(store, 0)
		if err != nil {
			return err
		}
		// Before it works, which may be its end.
		fmt.Println("works")
		go func() { _ = worker.Run(ctx) }()
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /carriers/{carrier}/events", func(_ http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		shipment.PushHandler(store).ServeHTTP(answer, r)
		if answer.Code == http.StatusNoContent {
			die()
		}
	})
	go func() { _ = http.Serve(listener, mux) }()
	fmt.Println("http://" + listener.Addr().String())
	return nil
}

// child is this test binary, running again.
type child struct {
	cmd  *exec.Cmd
	said string
	done chan struct{}
}

// startChild starts a child and waits for its first line. It is killed when the spec ends.
func startChild(mode string, w *world) *child {
	GinkgoHelper()
	c := &child{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childVariable+"="+mode, databaseVariable+"="+w.url, carrierVariable+"="+w.carrier)
	c.cmd.Stderr = GinkgoWriter
	stdin, err := c.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	stdout, err := c.cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(c.cmd.Start()).To(Succeed())
	said, err := bufio.NewReader(stdout).ReadString('\n')
	Expect(err).NotTo(HaveOccurred())
	c.said = strings.TrimSpace(said)
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
	Eventually(c.done).Should(BeClosed())
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	Expect(ok).To(BeTrue())
	Expect(status.Signal()).To(Equal(syscall.SIGKILL))
}
