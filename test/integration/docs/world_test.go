package docs

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testauth"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

const (
	// patience is how long pods may take to be ready on a busy machine.
	patience     = time.Minute
	carrierKey   = "a key that carrier and shop share"
	promotion    = "singles-day"
	promotedSKU  = "phone-x"
	promotedUnit = 99900
)

// world is an orderd of all roles, with everything around it, as an app finds it.
type world struct {
	*testing.T
	dir             string
	config          config.Config
	issuer          *testauth.Issuer
	logs            *logs
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
	w := &world{T: t, dir: t.TempDir(), logs: &logs{}, config: config.Default()}
	issuer, jwks := testauth.Start(t)
	w.issuer = issuer
	t.Cleanup(func() {
		if t.Failed() {
			w.logs.mu.Lock()
			defer w.logs.mu.Unlock()
			t.Log(w.logs.text.String())
		}
	})
	messaging := testnats.Run(t)
	c := &w.config
	c.Cluster = "shop/main"
	c.HTTP.DrainDelay = config.Duration(time.Millisecond)
	c.Database = config.Database{URLFile: w.secret("url", testdb.NewMigrated(t)), MaxConnections: 8}
	c.Messaging.URL = messaging.URL()
	c.Orders.IDKeyFile = w.secret("key", hex.EncodeToString([]byte("0123456789abcdef")))
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = testauth.IssuerName, testauth.Audience, jwks
	c.Auth.RequestsPerSecond, c.Auth.Burst = 1000, 1000
	address, peers := testport.Own(w), testport.Own(w)
	w.orderd = "http://" + address
	c.Payments = []config.Payment{{
		Provider: "sandbox", SecretFile: w.secret("sandbox", "a key that only the tests have"), PublicURL: w.orderd, NotifyURL: w.orderd,
	}}
	c.Flash.PeerURL = "http://" + peers
	w.around()
	w.provision(messaging)
	w.start(config.RoleStandard, address, "")
	w.flash = "http://" + w.start(config.RoleFlash, testport.Own(w), peers)
	w.start(config.RoleWorker, testport.Own(w), "")
	return w
}

func (w *world) secret(name, value string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// around starts the carrier and the push gateway.
func (w *world) around() {
	w.Helper()
	sim := carrier.New(carrier.Options{Name: "express", Key: []byte(carrierKey), ShopURL: w.orderd, Clock: time.Now})
	mux := http.NewServeMux()
	mux.Handle("/", sim)
	mux.Handle("/control/", sim.Control())
	server := httptest.NewServer(mux)
	w.Cleanup(server.Close)
	w.carrier = server.URL
	w.config.Carriers = []config.Carrier{{Name: "express", URL: server.URL, SecretFile: w.secret("carrier", carrierKey)}}

	secret := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	gateway, err := pushgateway.New(time.Now, secret)
	if err != nil {
		w.Fatal(err)
	}
	mux = http.NewServeMux()
	mux.Handle("POST /push", gateway)
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
	pushes := httptest.NewServer(mux)
	w.Cleanup(pushes.Close)
	w.pushes = pushes.URL
	w.config.Push = config.Push{URL: pushes.URL + "/push", SecretFile: w.secret("push", secret)}
}

// provision opens a promotion, as the operator does.
func (w *world) provision(messaging *testnats.Server) {
	w.Helper()
	uid := "00000000-0000-4000-8000-000000000001"
	p := &flashv1.Promotion{
		Uid: uid, Name: promotion, Streams: plog.StreamNames(uid, 1), Partitions: 2,
		StartUnixMs: time.Now().Add(-time.Minute).UnixMilli(), EndUnixMs: time.Now().Add(time.Hour).UnixMilli(),
		Currency: "EUR", PaymentTimeoutMs: (5 * time.Minute).Milliseconds(), Open: true,
		Items: []*flashv1.PromotedItem{{Sku: promotedSKU, UnitPrice: promotedUnit, LimitPerBuyer: 1}},
	}
	ctx, js := context.Background(), messaging.JetStream(w)
	for _, step := range []func() error{
		func() error { return provision.EnsureBuckets(ctx, js, 1) },
		func() error { return provision.EnsureStreams(ctx, js, p, 1) },
		func() error {
			return provision.OpenPartitions(ctx, js, p, "allocation", []provision.Item{{SKU: promotedSKU, Quantity: 10}})
		},
		func() error { return provision.PutPromotion(ctx, js, p) },
	} {
		if err := step(); err != nil {
			w.Fatal(err)
		}
	}
}

// start runs a pod in this process until the test ends, waits until it is ready, and returns its address.
func (w *world) start(role config.Role, address, peers string) string {
	w.Helper()
	c := w.config
	c.HTTP.Address, c.HTTP.AdminAddress, c.HTTP.PeerAddress = address, testport.Own(w), peers
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- serve.Run(ctx, serve.Options{
			Role: role, Config: c, Name: "pod-" + string(role), Advertise: peers, Version: "test", Log: slog.New(slog.NewTextHandler(w.logs, nil)).With("role", role),
		})
	}()
	w.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.Errorf("%s: %v", role, err)
		}
	})
	deadline := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		res, err := http.Get("http://" + c.HTTP.AdminAddress + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return address
			}
		}
		select {
		case <-poll.C:
		case err := <-done:
			done <- err
			w.Fatalf("%s ended: %v", role, err)
		case <-deadline:
			w.Fatalf("%s is not ready after %v", role, patience)
		}
	}
}
