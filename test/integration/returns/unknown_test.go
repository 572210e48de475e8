package returns_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
)

// Where a connection is cut, once.
const (
	whole int32 = iota
	beforeCommit
	afterCommit
)

// cut is a connection to the database that breaks at its next commit: before it is sent, or
// before it is answered.
type cut struct {
	net.Conn
	at *atomic.Int32
	// deaf connections have been sent a commit whose answer is lost.
	deaf *atomic.Bool
}

var errCut = errors.New("the connection was cut")

func (c cut) Write(sent []byte) (int, error) {
	if !bytes.Contains(sent, []byte("commit\x00")) {
		return c.Conn.Write(sent)
	}
	switch {
	case c.at.CompareAndSwap(beforeCommit, whole):
		_ = c.Close()
		return 0, errCut
	case c.at.CompareAndSwap(afterCommit, whole):
		// What was sent arrives; what is answered does not.
		c.deaf.Store(true)
		return c.Conn.Write(sent)
	}
	return c.Conn.Write(sent)
}

func (c cut) Read(answer []byte) (int, error) {
	n, err := c.Conn.Read(answer)
	if c.deaf.Load() {
		_ = c.Close()
		return 0, errCut
	}
	return n, err
}

var _ = DescribeTable("a commit whose outcome the caller never learns is found by its request id",
	func(ctx context.Context, where int32) {
		w := newWorld(ctx)
		at := &atomic.Int32{}
		config := w.pool.Config().Copy()
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return cut{conn, at, &atomic.Bool{}}, err
		}
		pool, err := pgxpool.NewWithConfig(ctx, config)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(pool.Close)
		frail := worldOn(ctx, pool)

		// twice does it with a connection that is cut, and again.
		twice := func(do func() error) {
			GinkgoHelper()
			at.Store(where)
			Expect(connect.CodeOf(do())).To(Equal(connect.CodeUnavailable))
			Expect(at.Load()).To(Equal(whole))
			Expect(do()).To(Succeed())
		}
		id, err := w.shop.Paid(ctx, buyer, true, three)
		Expect(err).NotTo(HaveOccurred())
		create := &shipmentv1.CreateShipmentRequest{
			RequestId: uuid.NewString(),
			OrderId:   id.String(),
			Lines:     []*shipmentv1.ShipmentLineQuantity{{Line: 1, Quantity: 1}},
		}
		twice(func() error {
			_, err := frail.shipments.CreateShipment(ctx, create)
			return err
		})
		Expect(w.parcels(ctx, id)).To(HaveLen(1))
		event := &shipmentv1.RecordShipmentEventRequest{
			RequestId:  uuid.NewString(),
			ShipmentId: w.parcels(ctx, id)[0].GetShipmentId(),
			Code:       shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_DELIVERED,
		}
		twice(func() error {
			_, err := frail.shipments.RecordShipmentEvent(ctx, event)
			return err
		})
		Expect(w.order(ctx, id).Lines[0].Delivered).To(Equal(int64(1)))

		request := wanted(id, refundOnly, line(1, 1))
		var rid string
		twice(func() error {
			answer, err := frail.returns.RequestReturn(ctx, request)
			rid = answer.GetReturn().GetReturnId()
			return err
		})
		_, err = w.returns.ApproveReturn(ctx, &returnsv1.ApproveReturnRequest{RequestId: uuid.NewString(), ReturnId: rid})
		Expect(err).NotTo(HaveOccurred())
		refund := &returnsv1.RefundReturnRequest{RequestId: uuid.NewString(), ReturnId: rid}
		twice(func() error {
			_, err := frail.returns.RefundReturn(ctx, refund)
			return err
		})
		Expect(w.refunds(ctx, id)).To(Equal(int64(95)))
		Expect(w.announced(ctx, rid)).To(Equal([]string{"REQUESTED", "APPROVED", "REFUNDED"}))
		Expect(w.order(ctx, id).Lines[0].Returned).To(Equal(int64(1)))
	},
	Entry("because it was not sent", beforeCommit),
	Entry("because it was not answered", afterCommit),
)
