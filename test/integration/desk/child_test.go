package desk_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/encoding/protojson"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// What a child is told through its environment: when it dies, the database, and what it asks for.
const (
	childVariable    = "ORDERD_TEST_CHILD"
	databaseVariable = "ORDERD_TEST_CHILD_DATABASE"
	requestVariable  = "ORDERD_TEST_CHILD_REQUEST"

	diesBefore = "before its commit"
	diesAfter  = "between its commit and the answer"
)

// dying ends this process, as a lost machine would, at a commit.
type dying struct{ when string }

type committing struct{}

// TraceQueryStart is pgx.QueryTracer's.
func (d dying) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.EqualFold(data.SQL, "commit") {
		return ctx
	}
	if d.when == diesBefore {
		die()
	}
	return context.WithValue(ctx, committing{}, true)
}

// TraceQueryEnd is pgx.QueryTracer's.
func (d dying) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if ctx.Value(committing{}) != nil && data.Err == nil && d.when == diesAfter {
		die()
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// runChild refunds units, or dies of it.
func runChild() int {
	ctx := context.Background()
	err := func() error {
		req := &deskv1.RefundUnitsRequest{}
		if err := protojson.Unmarshal([]byte(os.Getenv(requestVariable)), req); err != nil {
			return err
		}
		plain, err := pgxpool.New(ctx, os.Getenv(databaseVariable))
		if err != nil {
			return err
		}
		shop, err := testorder.New(ctx, plain)
		if err != nil {
			return err
		}
		config, err := pgxpool.ParseConfig(os.Getenv(databaseVariable))
		if err != nil {
			return err
		}
		config.ConnConfig.Tracer = dying{os.Getenv(childVariable)}
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		service := desk.NewService(desk.Options{Pool: pool, Orders: shop.Orders, Clock: shop.Clock.Now})
		_, err = service.RefundUnits(support(ctx), req)
		return err
	}()
	fmt.Fprintln(os.Stderr, "the child lives:", err)
	return 1
}

var _ = Describe("A change whose process dies", func() {
	for _, when := range []string{diesBefore, diesAfter} {
		It("has its effect once: "+when, func(ctx SpecContext) {
			w := newWorld(ctx)
			o := w.paid(ctx, testorder.Line{Quantity: 3, UnitPrice: 100})
			sku := o.GetLines()[0].GetSku()
			req := &deskv1.RefundUnitsRequest{
				RequestId: uuid.NewString(), OrderId: o.GetOrderId(), Version: o.GetVersion(), Reason: "torn", Restock: true,
				Lines: []*deskv1.RefundedUnits{{Line: 1, Quantity: 2}},
			}
			raw, err := protojson.Marshal(req)
			Expect(err).NotTo(HaveOccurred())
			child := exec.CommandContext(ctx, os.Args[0])
			child.Env = append(os.Environ(), childVariable+"="+when, databaseVariable+"="+w.url,
				requestVariable+"="+string(raw))
			child.Stderr = GinkgoWriter
			Expect(child.Run()).NotTo(Succeed())
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			Expect(ok).To(BeTrue())
			Expect(status.Signal()).To(Equal(syscall.SIGKILL))
			Expect(w.order(ctx, o.GetOrderId()).GetVersion() > o.GetVersion()).To(Equal(when == diesAfter))

			for range 2 {
				answer, err := w.service.RefundUnits(support(ctx), req)
				Expect(err).NotTo(HaveOccurred())
				Expect(answer.GetAmount().GetAmount()).To(BeEquivalentTo(200))
				Expect(answer.GetOrder().GetVersion()).To(Equal(o.GetVersion() + 1))
			}
			Expect(w.shop.Refunds(ctx, uuid.MustParse(o.GetOrderId()))).To(BeEquivalentTo(200))
			Expect(w.levels(ctx, sku).Available).To(BeEquivalentTo(2))
			Expect(w.texts(ctx, "SELECT event FROM order_history WHERE order_id = $1 AND version > $2 ORDER BY version",
				o.GetOrderId(), o.GetVersion())).To(Equal([]string{"grant_refund"}))
		})
	}
})
