// Package providers_test runs the payment providers against the simulator of
// orderd/sim/psp, over HTTP.
package providers_test

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/providers"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

func TestProviders(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Payment providers against the simulator")
}

// keys are made once: RSA keys take their time.
var keys *psp.Keys

var _ = BeforeSuite(func() {
	var err error
	keys, err = psp.GenerateKeys()
	Expect(err).NotTo(HaveOccurred())
})

// clock is one that a test sets, of both sides. It stands still unless it was started.
type clock struct {
	mu      sync.Mutex
	at      time.Time
	started time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started.IsZero() {
		return c.at
	}
	return c.at.Add(time.Since(c.started))
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is one provider, its simulator and a shop that only takes notifications.
type world struct {
	name     string
	clock    *clock
	sim      *psp.Server
	provider payment.Provider
	base     string

	mu      sync.Mutex
	taken   []payment.Notification
	refused []error
	// deny is what the shop answers notifications that are believed.
	deny error
	// late is how long notifications are under way.
	late time.Duration
}

// newWorld starts both sides; certificates puts WeChat Pay into its platform certificate mode.
func newWorld(name string, certificates bool) *world {
	w := &world{name: name, clock: &clock{at: time.Date(2026, 11, 11, 2, 0, 0, 0, time.UTC)}}
	shop := httptest.NewServer(http.HandlerFunc(w.notification))
	DeferCleanup(shop.Close)
	var err error
	w.sim, err = psp.NewServer(psp.Options{
		Keys:          keys,
		Certificates:  certificates,
		StripeWebhook: shop.URL + "/notifications/stripe",
		Clock:         w.clock.now,
		Attempts:      3,
		Pause:         time.Millisecond,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.sim.Close)
	server := httptest.NewServer(w.sim)
	DeferCleanup(server.Close)
	w.base = server.URL
	secrets := GinkgoT().TempDir()
	Expect(keys.WriteSecrets(secrets)).To(Succeed())
	w.provider, err = providers.New(config.Payment{
		Provider:  name,
		Settings:  keys.Settings(name, server.URL, certificates),
		SecretDir: filepath.Join(secrets, name),
		NotifyURL: shop.URL,
		PublicURL: shop.URL,
	}, providers.Deps{Clock: w.clock.now, Random: rand.Reader})
	Expect(err).NotTo(HaveOccurred())
	return w
}

// notification is the shop's side of the notify URL.
func (w *world) notification(rw http.ResponseWriter, r *http.Request) {
	defer GinkgoRecover()
	Expect(r.URL.Path).To(Equal("/notifications/" + w.name))
	raw, err := io.ReadAll(r.Body)
	Expect(err).NotTo(HaveOccurred())
	n, err := w.provider.ParseNotification(r.Header, raw, w.clock.now().Add(w.late))
	w.mu.Lock()
	if err != nil {
		w.refused = append(w.refused, err)
	} else {
		w.taken = append(w.taken, n)
		err = w.deny
	}
	w.mu.Unlock()
	w.provider.Answer(rw, err)
}

// told are the notifications that were believed, once all were sent; ignored ones are left out.
func (w *world) told(kind payment.Kind) []payment.Notification {
	w.sim.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []payment.Notification
	for _, n := range w.taken {
		if n.Kind == kind && !n.Ignore {
			n.Raw = nil
			out = append(out, n)
		}
	}
	return out
}

// disbelieved are the reasons why notifications were not.
func (w *world) disbelieved() []string {
	w.sim.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, err := range w.refused {
		out = append(out, err.Error())
	}
	return out
}

// charge makes one for the provider's method.
func (w *world) charge(method string) payment.Charge {
	currency := "CNY"
	if w.name == psp.Stripe {
		currency = "USD"
	}
	return payment.Charge{
		PaymentID:   uuid.New(),
		OrderID:     uuid.New(),
		Amount:      8801,
		Currency:    currency,
		CreatedAt:   w.clock.now(),
		ExpiresAt:   w.clock.now().Add(30 * time.Minute),
		Method:      method,
		Description: "订单 & <goods> 100%",
		ClientIP:    "203.0.113.7",
		OpenID:      "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
		ReturnURL:   "https://shop.example/done?order=1",
	}
}

// open creates the charge and, where it is the buyer who makes it known to the
// provider, opens the page.
func (w *world) open(ctx context.Context, method string) payment.Charge {
	c := w.charge(method)
	session, err := w.provider.Create(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	c.Reference = session.Reference
	w.visit(ctx, session)
	return c
}

// visit does what a buyer's device does with a session, up to paying.
func (w *world) visit(ctx context.Context, session payment.Session) {
	if w.name != psp.Alipay {
		return
	}
	var status int
	switch order := session.SDKParams["orderString"]; {
	case order != "":
		status = w.do(ctx, http.MethodPost, w.base+"/alipay/app?"+order)
	case session.RedirectURL != "":
		status = w.do(ctx, http.MethodGet, session.RedirectURL)
	default:
		Expect(session.QRCode).To(HavePrefix("https://qr.alipay.com/"))
		return
	}
	Expect(status).To(Equal(http.StatusOK))
}

func (w *world) do(ctx context.Context, method, url string) int {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	Expect(err).NotTo(HaveOccurred())
	resp, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	_, err = io.Copy(io.Discard, resp.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.Body.Close()).To(Succeed())
	return resp.StatusCode
}

// number is the simulator's name of a payment.
func (w *world) number(c payment.Charge) string {
	if w.name == psp.Stripe {
		return c.Reference
	}
	return hexOf(c.PaymentID)
}

// refundOf makes a refund of part of a charge that was paid.
func refundOf(c payment.Charge, transactionID string, amount int64) payment.RefundOrder {
	return payment.RefundOrder{
		RefundID:      uuid.New(),
		PaymentID:     c.PaymentID,
		OrderID:       c.OrderID,
		TransactionID: transactionID,
		Reference:     c.Reference,
		Amount:        amount,
		Total:         c.Amount,
		Currency:      c.Currency,
		Reason:        "不想要了",
	}
}
