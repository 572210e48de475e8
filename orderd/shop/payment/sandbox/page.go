package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
)

const (
	// attempts of one notification; the pause before each but the first doubles from firstPause.
	attempts   = 6
	firstPause = 100 * time.Millisecond
	// attemptTimeout bounds one attempt and pageTimeout all of them.
	attemptTimeout = 5 * time.Second
	pageTimeout    = 9 * time.Second
	// maxPaying bounds how many buyers pay at once in this process.
	maxPaying       = 256
	maxTokenBytes   = 1024
	maxAnswerBytes  = 4096
	maxNotifyIdle   = 64
	notifyIdleLimit = 30 * time.Second
)

// Pages has the pay page: POST /sandbox/pay?token=… pays, and answers 200 once the notification was
// taken. 400: the token is not one of ours. 410: its time is over, or the payment was closed. 502:
// the notification was not taken after several attempts; posting again repeats the same one. 503:
// too many pay at once, or the database is away.
func (s *Sandbox) Pages() map[string]http.Handler { return map[string]http.Handler{PagePath: s.page} }

func newPage(s *Sandbox, o Options) *page {
	client := o.Client
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: maxNotifyIdle, IdleConnTimeout: notifyIdleLimit,
		}}
	}
	return &page{
		sandbox: s, client: client, log: o.Logger, slots: make(chan struct{}, maxPaying),
		target: strings.TrimSuffix(o.NotifyURL, "/") + "/notifications/" + Name,
	}
}

// page is where a buyer pays.
type page struct {
	sandbox *Sandbox
	client  *http.Client
	target  string
	log     *slog.Logger
	slots   chan struct{}
}

// ServeHTTP pays.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST pays", http.StatusMethodNotAllowed)
		return
	}
	token := r.URL.Query().Get("token")
	if len(token) > maxTokenBytes {
		http.Error(w, errToken.Error(), http.StatusBadRequest)
		return
	}
	t, err := p.sandbox.open(token)
	if err != nil {
		http.Error(w, errToken.Error(), http.StatusBadRequest)
		return
	}
	if p.sandbox.now().Unix() >= t.ExpiresAt {
		http.Error(w, "the time to pay is over", http.StatusGone)
		return
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many pay at once", http.StatusServiceUnavailable)
		return
	}
	// A buyer who closes the page after paying has paid.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), pageTimeout)
	defer cancel()
	paid, err := p.sandbox.record(ctx, entry{
		PaymentID: t.PaymentID, State: statePaid, TransactionID: transactionID(t.PaymentID),
		Amount: t.Amount, Currency: t.Currency, At: p.sandbox.now(),
	})
	switch {
	case err != nil:
		p.log.Warn("sandbox: the payment was not written", "payment", t.PaymentID, "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not paid; post again", http.StatusServiceUnavailable)
		return
	case paid.State != statePaid:
		http.Error(w, "the payment was closed", http.StatusGone)
		return
	}
	if err := p.notify(ctx, t); err != nil {
		p.log.Warn("sandbox: the notification was not taken", "payment", t.PaymentID, "error", err)
		http.Error(w, "paid, but the shop does not know yet; post again", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"`+statusSuccess+`"}`+"\n")
}

// notify sends the notification until it is taken or must not be sent again.
func (p *page) notify(ctx context.Context, t ticket) error {
	raw, err := json.Marshal(body{
		TransactionID: transactionID(t.PaymentID), PaymentID: t.PaymentID, Merchant: p.sandbox.merchant,
		Amount: t.Amount, Currency: t.Currency, Status: statusSuccess,
	})
	if err != nil {
		return err
	}
	var last error
	policy := backoff.Policy{First: firstPause, Max: pageTimeout}
	for i := range attempts {
		if i > 0 {
			if err := backoff.Wait(ctx, policy.Delay(i)); err != nil {
				return errors.Join(last, err)
			}
		}
		var final bool
		if final, last = p.send(ctx, raw); last == nil || final {
			return last
		}
	}
	return last
}

// send makes one attempt; final says that another would be refused as well.
func (p *page) send(ctx context.Context, raw []byte) (final bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.target, bytes.NewReader(raw))
	if err != nil {
		return true, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SignatureHeader, p.sandbox.Sign(raw, p.sandbox.now()))
	resp, err := p.client.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	// Read to the end, so that the connection is used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswerBytes))
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	return resp.StatusCode == http.StatusBadRequest, fmt.Errorf("the shop answered %d", resp.StatusCode)
}
