package psp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Delivery is one attempt of a notification.
type Delivery struct {
	Provider string `json:"provider"`
	// Kind is payment or refund.
	Kind string `json:"kind"`
	// Number of the payment or the refund, as the merchant gave it.
	Number string `json:"number"`
	Status int    `json:"status"`
	Body   string `json:"body"`
	// Taken says that the answer was what the provider wants to see.
	Taken bool `json:"taken"`
	// Error is set if there was no answer.
	Error string `json:"error,omitempty"`
}

// message is a notification made for one attempt.
type message struct {
	contentType string
	header      map[string]string
	body        []byte
}

// lie is what is not so in a notification.
type lie struct{ amount, currency, merchant, forged bool }

// notice is a notification that is to be sent until it is taken.
type notice struct {
	provider, kind, number, url string
	// make signs anew for every attempt, as the providers do.
	make  func() message
	taken func(status int, body []byte) bool
	// copies are sent at once.
	copies int
}

// notify sends a notification, with the faults of the call and those that are switched on. The
// caller holds the lock.
func (s *Server) notify(n *notice, build func(lie) func() message, faults []Fault) {
	if n.url == "" {
		return
	}
	var kinds []Kind
	for _, f := range faults {
		kinds = append(kinds, f.Kind)
	}
	for _, kind := range NotificationKinds() {
		if s.strikes(n.provider, n.kind, kind) {
			kinds = append(kinds, kind)
		}
	}
	has := func(kind Kind) bool { return slices.Contains(kinds, kind) }
	n.copies = 1
	if has(Duplicated) {
		n.copies = 3
	}
	n.make = build(lie{
		amount: has(WrongAmount), currency: has(WrongCurrency), merchant: has(WrongMerchant), forged: has(Forged),
	})
	switch {
	case has(Lost):
	case has(Late):
		s.held = append(s.held, n)
	case has(Reordered):
		s.swapped = append(s.swapped, n)
	default:
		after := s.takeSwapped(n.provider)
		s.send(append([]*notice{n}, after...))
	}
}

// takeSwapped returns what waits for the provider's next notification. The caller holds the lock.
func (s *Server) takeSwapped(provider string) []*notice {
	var after, rest []*notice
	for _, n := range s.swapped {
		if n.provider == provider {
			after = append(after, n)
		} else {
			rest = append(rest, n)
		}
	}
	s.swapped = rest
	return after
}

// Release sends what Late and Reordered hold back and returns how many that were.
func (s *Server) Release() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Concat(s.held, s.swapped)
	s.held, s.swapped = nil, nil
	s.send(all)
	return len(all)
}

// Wait returns once nothing is being sent; what is held back stays so.
func (s *Server) Wait() { s.sending.Wait() }

// Deliveries are the attempts so far, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deliveries)
}

// send delivers notices one after the other, in the background.
func (s *Server) send(notices []*notice) {
	if len(notices) == 0 {
		return
	}
	s.sending.Go(func() {
		for _, n := range notices {
			var copies sync.WaitGroup
			for range n.copies {
				copies.Go(func() { s.deliver(n) })
			}
			copies.Wait()
		}
	})
}

// deliver attempts until the notification is taken or the attempts are used up.
func (s *Server) deliver(n *notice) {
	pause := s.pause
	for i := range s.attempts {
		if i > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-s.stop.Done():
				timer.Stop()
				return
			}
			pause *= 2
		}
		d := s.attempt(n)
		s.mu.Lock()
		s.deliveries = append(s.deliveries, d)
		s.mu.Unlock()
		if d.Taken || s.stop.Err() != nil {
			return
		}
	}
}

func (s *Server) attempt(n *notice) Delivery {
	d := Delivery{Provider: n.provider, Kind: n.kind, Number: n.number}
	m := n.make()
	ctx, cancel := context.WithTimeout(s.stop, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(m.body))
	if err != nil {
		d.Error = err.Error()
		return d
	}
	req.Header.Set("Content-Type", m.contentType)
	for name, value := range m.header {
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		d.Error = err.Error()
		return d
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		d.Error = err.Error()
		return d
	}
	d.Status, d.Body, d.Taken = resp.StatusCode, string(body), n.taken(resp.StatusCode, body)
	return d
}

// notifyPayment tells of a payment. The caller holds the lock.
func (s *Server) notifyPayment(p *payment, faults []Fault) {
	n := &notice{provider: p.provider, kind: "payment", number: p.number}
	switch p.provider {
	case WeChatPay:
		n.url, n.taken = p.notifyURL, takenByWeChatPay
		s.notify(n, s.weChatPayPayment(p), faults)
	case Alipay:
		n.url, n.taken = p.notifyURL, takenByAlipay
		s.notify(n, s.alipayPayment(p), faults)
	case Stripe:
		n.url, n.taken = s.webhook, takenByStripe
		s.notify(n, s.stripePayment(p), faults)
	}
}

// notifyRefund tells of a refund. The caller holds the lock.
func (s *Server) notifyRefund(r *refund) {
	n := &notice{provider: r.payment.provider, kind: "refund", number: r.number}
	switch r.payment.provider {
	case WeChatPay:
		n.url, n.taken = r.notifyURL, takenByWeChatPay
		s.notify(n, s.weChatPayRefund(r), nil)
	case Alipay:
		n.url, n.taken = r.payment.notifyURL, takenByAlipay
		s.notify(n, s.alipayRefund(r), nil)
	case Stripe:
		n.url, n.taken = s.webhook, takenByStripe
		s.notify(n, s.stripeRefund(r), nil)
	}
}
