package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testnats"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

const (
	promotion    = "singles-day"
	promotedSKU  = "phone-x"
	promotedUnit = 99900
)

// world is an orderd of all roles, with everything around it, as an app finds it.
type world struct {
	*testing.T
	shop            *testshop.Shop
	orderd, flash   string
	carrier, pushes string
}

// logs are what the pods say, shown if the test fails.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	said := &logs{}
	t.Cleanup(func() {
		if t.Failed() {
			said.mu.Lock()
			defer said.mu.Unlock()
			t.Log(said.text.String())
		}
	})
	w := &world{T: t, shop: testshop.New(t, said)}
	base := &w.shop.Config
	base.Cluster = "shop/main"
	base.Database.MaxConnections = 8
	base.Auth.RequestsPerSecond, base.Auth.Burst = 1000, 1000
	standard, flash := w.shop.Pod(), w.shop.Pod()
	w.orderd = "http://" + standard.HTTP.Address
	base.Payments = []config.Payment{w.shop.Sandbox(w.orderd)}
	base.Flash.PeerURL = "http://" + flash.HTTP.PeerAddress
	_, w.carrier = w.shop.Carrier("express", w.orderd)
	w.startGateway()
	w.provision(w.shop.NATS)
	w.start(config.RoleStandard, standard)
	w.flash = w.start(config.RoleFlash, flash)
	w.start(config.RoleWorker, w.shop.Pod())
	return w
}

// startGateway starts the push gateway, which tells what it took and refuses a buyer's on demand.
func (w *world) startGateway() {
	w.Helper()
	var gateway *pushgateway.Gateway
	mux := http.NewServeMux()
	mux.HandleFunc("GET /taken/{order}", func(rw http.ResponseWriter, r *http.Request) {
		taken := []pushgateway.Data{}
		for _, n := range gateway.Taken() {
			if n.Data.OrderID == r.PathValue("order") {
				taken = append(taken, n.Data)
			}
		}
		_ = json.NewEncoder(rw).Encode(taken)
	})
	mux.HandleFunc("PUT /refuse/{buyer}", func(_ http.ResponseWriter, r *http.Request) {
		buyer := r.PathValue("buyer")
		gateway.SetFault(func(n pushgateway.Notification) pushgateway.Fault {
			if n.Data.BuyerID == buyer {
				return pushgateway.Fault{Status: http.StatusUnprocessableEntity}
			}
			return pushgateway.Fault{}
		})
	})
	mux.HandleFunc("DELETE /refuse", func(http.ResponseWriter, *http.Request) { gateway.SetFault(nil) })
	gateway, w.pushes = w.shop.PushGateway(mux)
}

// provision opens a promotion of the flash lane alone: its item's stock is not the shop's.
func (w *world) provision(messaging *testnats.Server) {
	w.Helper()
	uid := "00000000-0000-4000-8000-000000000001"
	p := &flashv1.Promotion{
		Uid: uid, Name: promotion, Streams: plog.StreamNames(uid, 1), Partitions: 2,
		StartUnixMs: time.Now().Add(-time.Minute).UnixMilli(), EndUnixMs: time.Now().Add(time.Hour).UnixMilli(),
		Currency: "EUR", PaymentTimeoutMs: (5 * time.Minute).Milliseconds(), Open: true,
		Items: []*flashv1.PromotedItem{{Sku: promotedSKU, UnitPrice: promotedUnit, LimitPerBuyer: 1}},
	}
	r := sale.Runner{Sale: sale.New(sale.Options{
		Promotion: p, Items: []sale.Quantity{{SKU: promotedSKU, Quantity: 10}},
		JetStream: sale.Opened(messaging.JetStream(w)), Replicas: 1,
	})}
	for _, step := range []func(context.Context) error{r.Prepare, r.Publish} {
		if err := step(context.Background()); err != nil {
			w.Fatal(err)
		}
	}
}

// start runs a pod at its addresses until the test ends, waits until it is ready, and
// returns its base URL.
func (w *world) start(role config.Role, own config.Config) string {
	w.Helper()
	c := w.shop.Config
	c.HTTP = own.HTTP
	return w.shop.Ready(role, "pod-"+string(role), c).URL
}
