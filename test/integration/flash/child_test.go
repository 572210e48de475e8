package flash_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// What a child process is told.
const (
	childVariable     = "ORDERD_FLASH_TEST_CHILD"
	natsVariable      = "ORDERD_FLASH_TEST_NATS"
	promotionVariable = "ORDERD_FLASH_TEST_PROMOTION"
	databaseVariable  = "ORDERD_FLASH_TEST_DATABASE"

	childOwner        = "owner"
	childMaterializer = "materializer"
	childGiver        = "giver"
	childAsker        = "asker"
	childPod          = "pod"
	// These kill themselves when an order that the database refuses is marked, when its dead letter
	// is published, and when a release is in the log.
	childRefuser  = "refuser"
	childLetter   = "letter"
	childReleaser = "releaser"
	// childRequests is how many buyers the owner that dies serves at once.
	childRequests = 20
)

// TestMain runs a child's part when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	switch part := os.Getenv(childVariable); part {
	case "":
		os.Exit(m.Run())
	case childOwner, childMaterializer, childGiver, childAsker, childPod, childRefuser, childLetter, childReleaser:
		if err := child(part); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "unknown part", part)
		os.Exit(2)
	}
}

// die is a kill -9 of the own process.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// runChild runs a part in a process of its own and expects that it kills itself.
func runChild(ctx context.Context, part, natsURL string, p *flashv1.Promotion, databaseURL string) {
	GinkgoHelper()
	cmd := childCommand(ctx, part, natsURL, p, databaseURL)
	err := cmd.Run()
	Expect(err).To(HaveOccurred(), "the child ended without being killed")
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	Expect(ok).To(BeTrue())
	Expect(status.Signal()).To(Equal(syscall.SIGKILL), "the child ended with %v", err)
}

func childCommand(ctx context.Context, part, natsURL string, p *flashv1.Promotion, databaseURL string) *exec.Cmd {
	GinkgoHelper()
	binary, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	raw, err := proto.Marshal(p)
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), childVariable+"="+part, natsVariable+"="+natsURL,
		promotionVariable+"="+base64.StdEncoding.EncodeToString(raw), databaseVariable+"="+databaseURL)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	return cmd
}

func child(part string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	raw, err := base64.StdEncoding.DecodeString(os.Getenv(promotionVariable))
	if err != nil {
		return err
	}
	p := &flashv1.Promotion{}
	if err := proto.Unmarshal(raw, p); err != nil {
		return err
	}
	conn, err := nats.Connect(os.Getenv(natsVariable))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch part {
	case childOwner:
		return ownThenDie(ctx, js, p, log)
	case childMaterializer:
		return materializeThenDie(ctx, js, log)
	case childRefuser, childLetter:
		return refuseThenDie(ctx, js, part, log)
	case childReleaser:
		return releaseThenDie(ctx, js, log)
	default:
		return servePod(ctx, js, part, log)
	}
}

// reserves says whether the entry's record has reservations.
func reserves(entry plog.Entry) bool {
	record, err := entry.Decode()
	return err == nil && record.GetReserved() != nil
}

// ownThenDie serves buyers until the first append of reservations has landed.
func ownThenDie(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, log *slog.Logger) error {
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), time.Now, rand.Reader)
	if err != nil {
		return err
	}
	current := promotion.New(p)
	o := owner.New(owner.Options{
		Name:      "child",
		Promotion: func() *promotion.Promotion { return current },
		Owned:     yes,
		Lease:     yes,
		Peers:     alone{},
		OrderIDs:  ids,
		Log: &wrappedLog{plog.New(js, p), func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
			sequence, err := log.Append(ctx, entry)
			if err == nil && reserves(entry) {
				die()
			}
			return sequence, err
		}},
		Clock:  time.Now,
		Jitter: func(d time.Duration) time.Duration { return d },
		Logger: log,
	})
	go o.Run(ctx)
	var group sync.WaitGroup
	for i := range childRequests {
		group.Go(func() { _, _ = o.Reserve(ctx, childRequest(p, i)) })
	}
	group.Wait()
	return ctx.Err()
}

// dyingGiver dies as soon as the batch that moves stock away has landed.
type dyingGiver struct{ plog.Log }

func (l dyingGiver) AppendBatch(ctx context.Context, entries []plog.Entry) (uint64, error) {
	sequence, err := l.Log.AppendBatch(ctx, entries)
	if err == nil {
		die()
	}
	return sequence, err
}

// dyingAsker dies when it would sell from stock that just came into its shard.
func dyingAsker(log plog.Log) plog.Log {
	return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
		came := false
		if reserves(entry) {
			err := log.Read(ctx, entry.Partition, entry.Expected-1, entry.Expected, func(_ uint64, last *flashv1.Record) error {
				came = last.GetTransferredIn() != nil
				return nil
			})
			if err != nil {
				return 0, err
			}
		}
		if came {
			die()
		}
		return log.Append(ctx, entry)
	}}
}

// servePod is a pod that serves until it is killed. The giver and the asker do that
// themselves, once a transfer has landed that they gave and have not answered, or asked for
// and have not sold from.
func servePod(ctx context.Context, js jetstream.JetStream, part string, log *slog.Logger) error {
	var wrap func(plog.Log) plog.Log
	switch part {
	case childGiver:
		wrap = func(log plog.Log) plog.Log { return dyingGiver{log} }
	case childAsker:
		wrap = dyingAsker
	}
	pod, err := runPod(js, "pod-child", wrap, log)
	if err != nil {
		return err
	}
	defer pod.stop()
	<-ctx.Done()
	return ctx.Err()
}

func childRequest(p *flashv1.Promotion, i int) *flashv1.PlaceFlashOrderRequest {
	return request(p, fmt.Sprint("buyer-", i), "r", "a", 1)
}

// dyingWriter dies as soon as a transaction is committed.
type dyingWriter struct{ *order.Store }

func (w dyingWriter) Materialize(ctx context.Context, accepted []order.Accepted) error {
	err := w.Store.Materialize(ctx, accepted)
	if err == nil {
		die()
	}
	return err
}

func materializeThenDie(ctx context.Context, js jetstream.JetStream, log *slog.Logger) error {
	pool, err := database.Open(ctx, os.Getenv(databaseVariable), 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := order.NewStore(
		order.Options{Pool: pool, Clock: time.Now, Logger: log, Registerer: prometheus.NewRegistry()},
	)
	if err != nil {
		return err
	}
	return newMaterializer(js, dyingWriter{store}, log)(ctx)
}

// newMaterializer is the Run of one.
func newMaterializer(js jetstream.JetStream, writer materializer.Writer, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		m, err := materializer.New(materializer.Options{
			JetStream: js, Writer: writer, RatePerSecond: 5000, Clock: time.Now,
			Random: mathrand.New(mathrand.NewPCG(1, 2)), Logger: log, Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			return err
		}
		return m.Run(ctx)
	}
}

var _ = Describe("An owner that is killed after its append and before its answers", func() {
	It("leaves orders that its successor answers with, sold once", func(ctx SpecContext) {
		server := newServer()
		js := server.JetStream(GinkgoTB())
		p, items := promotionOf(1, 100)
		open(ctx, js, p, items...)

		runChild(ctx, childOwner, server.URL(), p, "")

		landed := orders(ctx, js, p)
		Expect(landed).NotTo(BeEmpty())
		o := run(newOwner(js, p, "successor", nil))
		for range 2 {
			for i := range childRequests {
				r := childRequest(p, i)
				got := insistOn(ctx, []*owner.Owner{o}, 0, r)
				Expect(got.order).NotTo(BeEmpty())
				if before := landed[r.BuyerId+"/r"]; before != nil {
					Expect(got.order).To(Equal(orderIDOf(before)))
				}
			}
		}
		Expect(orders(ctx, js, p)).To(HaveLen(childRequests))
		Expect(sales(ctx, js, p)["a"].Sold).To(BeEquivalentTo(childRequests))
	})
})

var _ = DescribeTable("A pod that is killed in the middle of a transfer",
	func(ctx SpecContext, part string) {
		server := newServer()
		js := server.JetStream(GinkgoTB())
		p, items := promotionOf(8, 200)
		open(ctx, js, p, items...)
		pods := []*pod{startPod(js, "pod-a", nil)}
		ready(pods...)
		died := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(died)
			runChild(ctx, part, server.URL(), p, "")
		}()
		// Where most buyers are, stock is asked for.
		hot := int32(-1)
		Eventually(func() int32 {
			hot = partitionOf(ctx, js, p, part == childAsker)
			return hot
		}).Should(BeNumerically(">=", 0))

		rushTo(ctx, hot, p, pods, 400).expectExactly(ctx, js, p, map[string]int64{"a": 200})
		Eventually(died).Should(BeClosed())
	},
	Entry("the giver, after the batch has landed", childGiver),
	Entry("the asker, before it sold what came", childAsker),
)

// partitionOf finds a partition of the child's, or one of another pod's once the child has some; -1
// while there is none.
func partitionOf(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, child bool) int32 {
	GinkgoHelper()
	childs, others := int32(-1), int32(-1)
	for n := range p.Partitions {
		owner := ""
		eachRecord(ctx, js, p, n, func(r *flashv1.Record) {
			if fenced := r.GetFenced(); fenced != nil {
				owner = fenced.Owner
			}
		})
		if owner == "pod-child" {
			childs = n
		} else {
			others = n
		}
	}
	if child || childs < 0 {
		return childs
	}
	return others
}

func isMember(ctx context.Context, js jetstream.JetStream, name string) (bool, error) {
	members, err := js.KeyValue(ctx, prepare.MembersBucket)
	if err != nil {
		return false, err
	}
	_, err = members.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

var _ = Describe("A pod that is paused for longer than its membership lasts", func() {
	It("loses its partitions, and oversells nothing when it comes back", func(ctx SpecContext) {
		server := newServer()
		js := server.JetStream(GinkgoTB())
		p, items := promotionOf(8, 600)
		open(ctx, js, p, items...)
		child := childCommand(ctx, childPod, server.URL(), p, "")
		Expect(child.Start()).To(Succeed())
		DeferCleanup(func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		})
		Eventually(isMember).WithArguments(ctx, js, "pod-child").Should(BeTrue())
		pods := []*pod{startPod(js, "pod-a", nil)}
		ready(pods...)
		c := rush(ctx, p, pods, 1500)
		Eventually(c.answered.Load).Should(BeNumerically(">", 100))

		Expect(child.Process.Signal(syscall.SIGSTOP)).To(Succeed())
		Eventually(isMember).WithArguments(ctx, js, "pod-child").Should(BeFalse())
		paused := c.answered.Load()
		Eventually(c.answered.Load).Should(BeNumerically(">", paused+50), "the other pod serves its partitions")
		Expect(child.Process.Signal(syscall.SIGCONT)).To(Succeed())
		c.expectExactly(ctx, js, p, map[string]int64{"a": 600})
	})
})
