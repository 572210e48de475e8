// Package psp is the other side of the payment providers: one HTTP server that speaks WeChat Pay's
// API v3, Alipay's gateway and Stripe's API as their documents describe them, with payments and
// refunds that it keeps in memory. It checks every request's signature and signs its answers and
// notifications with code of its own, and shares none with orderd, so that a misreading of a
// document does not agree with itself.
//
//	/v3/…            WeChat Pay
//	/gateway.do      Alipay; /alipay/app takes the order string that an app gives its SDK
//	/v1/…            Stripe
//	POST /pay/{provider}/{number}   the buyer pays; number is out_trade_no, or the PaymentIntent's id
//	/admin/…         faults, deliveries and what is held back: admin.go
//
// Faults are switched on for the next calls or notifications: see Fault.
package psp

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The providers' names, as orderd's configuration has them.
const (
	WeChatPay = "wechatpay"
	Alipay    = "alipay"
	Stripe    = "stripe"
)

// maxBody bounds what is read of a request or of an answer to a notification.
const maxBody = 1 << 20

// shanghai is the time zone of WeChat Pay's and Alipay's bills and times; it has no daylight saving.
var shanghai = time.FixedZone("UTC+8", 8*60*60)

// Options of a Server. Keys has to be set.
type Options struct {
	Keys *Keys
	// PublicURL is the server's own base URL in the URLs that it hands out; that of the request if
	// empty.
	PublicURL string
	// Certificates says that WeChat Pay signs by platform certificates; if not, by its public key.
	Certificates bool
	// StripeWebhook is where Stripe's events go. The others are told with every payment.
	StripeWebhook string
	// Clock is the time that it signs with; time.Now if nil.
	Clock func() time.Time
	// Client sends notifications; one with a time-out of five seconds if nil.
	Client *http.Client
	// Attempts of a notification until it is taken, 5 if zero, and the pause after the first, which
	// doubles; 20 ms if zero.
	Attempts int
	Pause    time.Duration
}

// Server is the providers. Its methods are safe for concurrent use.
type Server struct {
	keys    *Keys
	public  string
	webhook string
	// certificatesMode says how WeChat Pay signs notifications.
	certificatesMode bool
	now              func() time.Time
	client           *http.Client
	attempts         int
	pause            time.Duration
	mux              *http.ServeMux

	// stop ends deliveries, sending counts them.
	stop    context.Context
	cancel  context.CancelFunc
	sending sync.WaitGroup

	mu         sync.Mutex
	payments   []*payment
	byNumber   map[string]*payment
	faults     []*Fault
	held       []*notice
	swapped    []*notice
	deliveries []Delivery
	serial     int64
	platform   []*platformKey
	replies    map[string]reply
	bills      map[string][]byte
}

// state of a payment or a refund.
type state string

const (
	open      state = "OPEN"
	succeeded state = "SUCCEEDED"
	closed    state = "CLOSED"
	failed    state = "FAILED"
)

// payment is one at any provider.
type payment struct {
	provider, number, method string
	amount                   int64
	currency, description    string
	notifyURL, payer         string
	state                    state
	// transaction is the provider's own id, once it is paid.
	transaction        string
	createdAt, paidAt  time.Time
	expiresAt          time.Time
	refunds            []*refund
	metadata           map[string]string
	secret, session    string
	cancellationReason string
}

// refund of a payment.
type refund struct {
	payment    *payment
	number, id string
	amount     int64
	state      state
	reason     string
	notifyURL  string
	// askedAt is when the merchant asked, and at when it ended.
	askedAt, at time.Time
	metadata    map[string]string
}

func (p *payment) refunded() int64 {
	var sum int64
	for _, r := range p.refunds {
		if r.state != failed {
			sum += r.amount
		}
	}
	return sum
}

// NewServer starts with no payments and no faults. Close it.
func NewServer(o Options) (*Server, error) {
	if o.Keys == nil {
		return nil, errors.New("psp: no keys")
	}
	s := &Server{
		keys: o.Keys, public: o.PublicURL, webhook: o.StripeWebhook, certificatesMode: o.Certificates, now: o.Clock,
		client:   o.Client,
		attempts: cmp.Or(o.Attempts, 5), pause: cmp.Or(o.Pause, 20*time.Millisecond), mux: http.NewServeMux(),
		byNumber: map[string]*payment{}, replies: map[string]reply{}, bills: map[string][]byte{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.client == nil {
		s.client = &http.Client{Timeout: 5 * time.Second}
	}
	s.stop, s.cancel = context.WithCancel(context.Background())
	if err := s.certify(o.Keys.Platform); err != nil {
		return nil, err
	}
	s.routeWeChatPay()
	s.routeAlipay()
	s.routeStripe()
	s.routeAdmin()
	return s, nil
}

// ServeHTTP answers as the provider whose path it is.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

// Close ends what is still being sent and waits for it.
func (s *Server) Close() {
	s.cancel()
	s.sending.Wait()
}

// SetStripeWebhook is where Stripe's events go from now on.
func (s *Server) SetStripeWebhook(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhook = url
}

func (s *Server) base(r *http.Request) string {
	if s.public != "" {
		return s.public
	}
	return "http://" + r.Host
}

// id makes the next of a provider's own ids. The caller holds the lock.
func (s *Server) id(prefix string) string {
	s.serial++
	return prefix + s.now().In(shanghai).Format("20060102150405") + strconv.FormatInt(1_000_000+s.serial, 10)
}

// find returns a payment of a provider. The caller holds the lock.
func (s *Server) find(provider, number string) *payment {
	return s.byNumber[provider+" "+number]
}

// add keeps a payment. The caller holds the lock.
func (s *Server) add(p *payment) {
	p.createdAt = s.now()
	s.payments = append(s.payments, p)
	s.byNumber[p.provider+" "+p.number] = p
}

// findRefund returns a refund of a provider by the merchant's number. The caller holds the lock.
func (s *Server) findRefund(provider, number string) *refund {
	for _, p := range s.payments {
		if p.provider != provider {
			continue
		}
		if i := slices.IndexFunc(p.refunds, func(r *refund) bool { return r.number == number }); i >= 0 {
			return p.refunds[i]
		}
	}
	return nil
}

// Errors of Pay.
var (
	ErrNoPayment = errors.New("psp: no such payment")
	ErrNotOpen   = errors.New("psp: the payment is not open")
)

// Pay is the buyer paying. The notification is on its way when it returns; the faults are for it.
func (s *Server) Pay(provider, number string, faults ...Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(provider, number)
	switch {
	case p == nil:
		return ErrNoPayment
	case p.state != open, !p.expiresAt.IsZero() && !s.now().Before(p.expiresAt):
		return ErrNotOpen
	}
	prefix := map[string]string{WeChatPay: "4200", Alipay: "2088", Stripe: "ch_"}[provider]
	p.state, p.paidAt, p.transaction = succeeded, s.now(), s.id(prefix)
	s.notifyPayment(p, faults)
	return nil
}

// Refunds is how much of a payment has been paid back, in minor units.
func (s *Server) Refunds(provider, number string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.find(provider, number); p != nil {
		return p.refunded()
	}
	return 0
}

// Numbers of a provider's payments, oldest first.
func (s *Server) Numbers(provider string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, p := range s.payments {
		if p.provider == provider {
			out = append(out, p.number)
		}
	}
	return out
}

func random(n int) string {
	raw := make([]byte, n)
	// It never fails: crypto/rand ends the program instead.
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}
