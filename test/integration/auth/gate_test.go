package auth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// idle sends the head of a request that says a body comes, and returns what is answered.
func (p *pod) idle(ctx context.Context, path, token string) io.Reader {
	GinkgoHelper()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(p.URL, "http://"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n", path, token)
	Expect(err).NotTo(HaveOccurred())
	return conn
}

var _ = Describe("The gate", func() {
	It("is not closed by callers who send the heads of requests and nothing else", func(ctx context.Context) {
		const idlers, bodies = 600, 50
		w := newWorld()
		// Not time is what makes room.
		w.Config.HTTP.BodyTimeout, w.Config.HTTP.MaxBodies = config.Duration(time.Hour), bodies
		p := w.standard()
		list := "/orderd.order.v1.OrderService/ListOrders"
		for _, path := range []string{list, "/notifications/sandbox", "/carriers/swift/events"} {
			var gone atomic.Int64
			for range idlers {
				answer := p.idle(ctx, path, "a.b.c")
				go func() {
					if response, err := http.ReadResponse(bufio.NewReader(answer), nil); err == nil {
						_ = response.Body.Close()
						gone.Add(1)
					}
				}()
			}
			Eventually(gone.Load).WithTimeout(patience).Should(BeNumerically(">=", idlers-bodies))
			_, err := p.with(w.Issuer.Token("ann", "buyer")).orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
			Expect(err).NotTo(HaveOccurred())
			res, err := http.Post(p.URL+"/notifications/sandbox", "application/json", strings.NewReader("{}"))
			Expect(err).NotTo(HaveOccurred())
			_ = res.Body.Close()
			Expect(res.StatusCode).To(Equal(http.StatusBadRequest))
		}
	})

	It("keeps those who look after a pod away from those who take all its connections", func(ctx context.Context) {
		w := newWorld()
		w.Config.HTTP.BodyTimeout, w.Config.HTTP.MaxConnections = config.Duration(time.Hour), 2
		p := w.standard()
		for range 5 {
			p.idle(ctx, "/orderd.order.v1.OrderService/ListOrders", "a.b.c")
		}
		Consistently(p.Health, "1s").Should(Equal(http.StatusOK))
	})

	It("lets a buyer hold so much stock without paying, and a guest less, on all pods", func(ctx context.Context) {
		w := newWorld()
		pods := []*pod{w.standard(), {w.Ready(config.RoleStandard, "pod-2", w.Pod())}}
		carol := pods[0].with(w.Issuer.Token("carol", "catalog")).catalog
		_, err := carol.UpsertSku(ctx, sku("new"))
		Expect(err).NotTo(HaveOccurred())
		_, err = carol.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "many", Sku: "tea", Delta: 1000})
		Expect(err).NotTo(HaveOccurred())
		for _, caller := range []struct {
			token, buyer string
			want         int64
		}{
			{w.Issuer.Token("ann", "buyer"), "", 20},
			{w.Issuer.Guest("guest-1"), "", 5},
			{w.Issuer.Token("backend", "checkout"), "bob", 20},
		} {
			var taken atomic.Int64
			var group sync.WaitGroup
			for n := range 50 {
				group.Go(func() {
					defer GinkgoRecover()
					_, err := pods[n%2].with(caller.token).orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
						RequestId: fmt.Sprint("r", n), BuyerId: caller.buyer, Lines: tea(),
					})
					if err == nil {
						taken.Add(1)
						return
					}
					Expect(err).To(failWith(connect.CodeResourceExhausted, "TOO_MANY_UNPAID"))
					Expect(rpcerr.Metadata(err)).To(HaveKeyWithValue("most", fmt.Sprint(caller.want)))
				})
			}
			group.Wait()
			Expect(taken.Load()).To(Equal(caller.want))
		}
		_, err = pods[0].with(w.Issuer.Token("bob", "buyer")).orders.PlaceOrder(ctx,
			&orderv1.PlaceOrderRequest{RequestId: "own", Lines: tea()})
		Expect(err).To(failWith(connect.CodeResourceExhausted, "TOO_MANY_UNPAID"))
	})

	It("tells buyers roughly how much stock there is, and staff exactly", func(ctx context.Context) {
		w := newWorld()
		p := w.standard()
		carol := p.with(w.Issuer.Token("carol", "catalog")).catalog
		_, err := carol.UpsertSku(ctx, sku("new"))
		Expect(err).NotTo(HaveOccurred())
		_, err = carol.AdjustStock(ctx, nine())
		Expect(err).NotTo(HaveOccurred())
		for _, token := range []string{w.Issuer.Token("ann", "buyer"), w.Issuer.Guest("guest-1")} {
			found, err := p.with(token).catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "tea"})
			Expect(err).NotTo(HaveOccurred())
			Expect(found.GetStock()).To(BeNil())
			Expect(found.GetAvailability()).To(Equal(catalogv1.Availability_AVAILABILITY_FEW))
		}
		found, err := carol.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "tea"})
		Expect(err).NotTo(HaveOccurred())
		Expect(found.GetStock().GetAvailable()).To(Equal(int64(9)))
	})
})
