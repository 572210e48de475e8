package bulk_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// What a child is told through its environment: when it dies, at which of its commits, and the database.
const (
	childVariable    = "ORDERD_TEST_CHILD"
	commitVariable   = "ORDERD_TEST_CHILD_COMMIT"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"

	diesWithin  = "within a row"
	diesBetween = "between two rows"
)

// dying ends this process, as a lost machine would, at a commit. A worker commits rows, and nothing else.
type dying struct {
	when string
	left *atomic.Int64
}

type committing struct{}

// TraceQueryStart is pgx.QueryTracer's.
func (d dying) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.EqualFold(data.SQL, "commit") || d.left.Add(-1) != 0 {
		return ctx
	}
	if d.when == diesWithin {
		die()
	}
	return context.WithValue(ctx, committing{}, true)
}

// TraceQueryEnd is pgx.QueryTracer's.
func (d dying) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(committing{}) != nil {
		die()
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// runChild is a worker that dies.
func runChild() int {
	ctx := context.Background()
	err := func() error {
		plain, err := pgxpool.New(ctx, os.Getenv(databaseVariable))
		if err != nil {
			return err
		}
		shop, err := testorder.New(ctx, plain)
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(os.Getenv(commitVariable), 10, 64)
		if err != nil {
			return err
		}
		left := &atomic.Int64{}
		left.Store(n)
		pool, err := database.Open(ctx, os.Getenv(databaseVariable), connections,
			database.WithTracer(dying{os.Getenv(childVariable), left}))
		if err != nil {
			return err
		}
		worker, err := newWorker(pool, shop, "child", nil)
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	}()
	fmt.Fprintln(os.Stderr, "the child lives:", err)
	return 1
}

var _ = Describe("A worker that dies", func() {
	for _, when := range []string{diesWithin, diesBetween} {
		for _, dry := range []bool{false, true} {
			It(fmt.Sprintf("leaves each row done once: %s, dry run %t", when, dry), func(ctx SpecContext) {
				w := newWorld(ctx)
				const orders, deaths = 4, 3
				var ids []string
				for range orders {
					ids = append(ids, w.paid(ctx))
				}
				lines := []string{"order,text"}
				for n := range 24 {
					lines = append(lines, fmt.Sprintf("%s,note %d", ids[n%orders], n))
				}
				lines = slices.Insert(lines, 8, nobodys+",nobody's")
				job := w.create(ctx, noting, dry, lines...)
				for n := range deaths {
					child := exec.CommandContext(ctx, os.Args[0])
					child.Env = append(os.Environ(), childVariable+"="+when, databaseVariable+"="+w.url,
						commitVariable+"="+strconv.Itoa(n+3))
					child.Stderr = GinkgoWriter
					Expect(child.Run()).NotTo(Succeed())
					status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
					Expect(ok).To(BeTrue())
					Expect(status.Signal()).To(Equal(syscall.SIGKILL))
				}
				// Commits that were made, each a row: 3 + 4 + 5, but for the ones that were died of.
				done := map[string]int64{diesWithin: 2 + 3 + 4, diesBetween: 3 + 4 + 5}[when]
				half := w.job(ctx, job.GetJobId())
				Expect(half.GetDone() + half.GetFailed()).To(Equal(done))
				w.work("one", nil)
				w.work("two", nil)
				after := w.ended(ctx, job.GetJobId())
				Expect([]int64{after.GetDone(), after.GetFailed()}).To(Equal([]int64{24, 1}))
				var want []string
				for n := range 24 {
					if !dry {
						want = append(want, fmt.Sprintf("note %d", n))
					}
				}
				Expect(w.texts(ctx, "SELECT text FROM order_notes")).To(ConsistOf(want))
				Expect(w.answers(ctx, job.GetJobId())[7]).To(Equal("FAILED NOT_FOUND ORDER_NOT_FOUND"))
			})
		}
	}
})

var _ = Describe("Two workers that both have a job", func() {
	It("do each row once", func(ctx SpecContext) {
		w := newWorld(ctx)
		ids := []string{w.paid(ctx), w.paid(ctx), w.paid(ctx)}
		lines, want := []string{"order,text"}, []string{}
		for n := range 150 {
			want = append(want, fmt.Sprintf("note %d", n))
			lines = append(lines, ids[n%len(ids)]+","+want[n])
		}
		job := w.create(ctx, noting, false, lines...)
		// Of one name, they have the same leases.
		for range 3 {
			w.work("same", nil)
		}
		after := w.ended(ctx, job.GetJobId())
		Expect([]int64{after.GetDone(), after.GetFailed()}).To(Equal([]int64{150, 0}))
		Expect(w.texts(ctx, "SELECT text FROM order_notes")).To(ConsistOf(want))
	})
})
