package psp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StripeVersion is the API version that requests have to be pinned to and events are written in.
const StripeVersion = "2025-08-27.basil"

// reply is an answer that is repeated for the same idempotency key.
type reply struct {
	request string
	status  int
	body    []byte
	// replayed says that it was given before.
	replayed bool
	at       time.Time
}

// keyLife is how long an idempotency key is remembered.
const keyLife = 24 * time.Hour

// stripeCall does one call and returns an object, or a status and an error.
type stripeCall func(r *http.Request, form url.Values) (int, map[string]any)

func (s *Server) routeStripe() {
	handle := func(pattern, operation string, call stripeCall) {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.callStripe(w, r, operation, call) })
	}
	handle("POST /v1/payment_intents", "create", s.stripeCreate)
	handle("GET /v1/payment_intents/search", "query", s.stripeSearch)
	handle("GET /v1/payment_intents/{id}", "query", s.stripeRetrieve)
	handle("POST /v1/payment_intents/{id}/cancel", "close", s.stripeCancel)
	handle("POST /v1/refunds", "refund", s.stripeRefundCall)
	handle("GET /v1/refunds/{id}", "query_refund", s.stripeRetrieveRefund)
	handle("GET /v1/refunds", "list", s.stripeRefunds)
	handle("GET /v1/charges", "statement", s.stripeCharges)
}

func stripeProblem(kind, code, text string) map[string]any {
	return map[string]any{"error": map[string]any{"type": kind, "code": code, "message": text}}
}

func (s *Server) callStripe(w http.ResponseWriter, r *http.Request, operation string, call stripeCall) {
	answer := func(status int, body []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Request-Id", "req_"+random(7))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		answer(http.StatusBadRequest, encode(stripeProblem("invalid_request_error", "", "the body cannot be read")))
		return
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil || r.Header.Get("Stripe-Version") != StripeVersion {
		answer(http.StatusBadRequest, encode(stripeProblem("invalid_request_error", "", "the body or the version is wrong")))
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+s.keys.StripeKey {
		answer(http.StatusUnauthorized, encode(stripeProblem("invalid_request_error", "", "Invalid API Key provided")))
		return
	}
	s.mu.Lock()
	fault, struck := s.strike(Stripe, operation, Timeout, Unavailable)
	var out reply
	if struck && fault == Unavailable {
		out = reply{status: http.StatusServiceUnavailable, body: encode(stripeProblem("api_error", "", "try again"))}
	} else {
		out = s.stripeOnce(r, string(raw), form, call)
	}
	s.mu.Unlock()
	if struck && fault == Timeout {
		breakConnection(w)
	}
	if out.replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	answer(out.status, out.body)
}

// stripeOnce repeats the answer to the same idempotency key. The caller holds the lock.
func (s *Server) stripeOnce(r *http.Request, raw string, form url.Values, call stripeCall) reply {
	key := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost || key == "" {
		status, value := call(r, form)
		return reply{status: status, body: encode(value)}
	}
	request := r.URL.Path + "?" + raw
	if old, ok := s.replies[key]; ok && s.now().Sub(old.at) < keyLife {
		if old.request != request {
			return reply{
				status: http.StatusBadRequest, body: encode(stripeProblem("idempotency_error", "",
					"Keys for idempotent requests can only be used with the same parameters")),
			}
		}
		return old
	}
	status, value := call(r, form)
	out := reply{request: request, status: status, body: encode(value)}
	// It is kept whether it succeeded or not.
	s.replies[key] = reply{request: request, status: status, body: out.body, replayed: true, at: s.now()}
	return out
}

// metadata of a form: metadata[name]=value.
func metadata(form url.Values) map[string]string {
	out := map[string]string{}
	for name := range form {
		if key, ok := strings.CutPrefix(name, "metadata["); ok {
			out[strings.TrimSuffix(key, "]")] = form.Get(name)
		}
	}
	return out
}

func (s *Server) stripeCreate(_ *http.Request, form url.Values) (int, map[string]any) {
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil || amount <= 0 || len(form.Get("currency")) != 3 ||
		form.Get("currency") != strings.ToLower(form.Get("currency")) {
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "parameter_invalid_integer",
			"amount or currency is wrong")
	}
	id := "pi_" + random(12)
	p := &payment{
		provider: Stripe, number: id, method: "card", amount: amount, currency: form.Get("currency"),
		description: form.Get("description"),
		state:       open, metadata: metadata(form), secret: id + "_secret_" + random(12),
	}
	s.add(p)
	return http.StatusOK, s.stripeIntent(p, lie{})
}

// stripeIntent is a PaymentIntent.
func (s *Server) stripeIntent(p *payment, l lie) map[string]any {
	out := map[string]any{
		"id": p.number, "object": "payment_intent", "amount": p.amount, "amount_received": int64(0), "currency": p.currency,
		"client_secret": p.secret,
		"status":        "requires_payment_method", "metadata": p.metadata, "created": p.createdAt.Unix(),
		"livemode":      l.merchant,
		"latest_charge": nil,
	}
	switch p.state {
	case succeeded:
		out["status"], out["amount_received"], out["latest_charge"] = "succeeded", p.amount, p.transaction
	case closed:
		out["status"], out["cancellation_reason"] = "canceled", p.cancellationReason
	}
	if l.amount {
		out["amount"], out["amount_received"] = p.amount-1, p.amount-1
	}
	if l.currency {
		out["currency"] = "jpy"
	}
	return out
}

func (s *Server) stripeRetrieve(r *http.Request, _ url.Values) (int, map[string]any) {
	p := s.find(Stripe, r.PathValue("id"))
	if p == nil {
		return http.StatusNotFound, stripeProblem("invalid_request_error", "resource_missing", "No such payment_intent")
	}
	out := s.stripeIntent(p, lie{})
	if p.state == succeeded && r.URL.Query().Get("expand[0]") == "latest_charge" {
		out["latest_charge"] = stripeCharge(p)
	}
	return http.StatusOK, out
}

// stripeCharge is the Charge of a PaymentIntent that was paid.
func stripeCharge(p *payment) map[string]any {
	return map[string]any{
		"id": p.transaction, "object": "charge", "amount": p.amount, "amount_captured": p.amount,
		"amount_refunded": p.refunded(), "currency": p.currency, "status": "succeeded",
		"paid": true, "captured": true, "payment_intent": p.number, "metadata": p.metadata, "created": p.paidAt.Unix(),
	}
}

var searched = regexp.MustCompile(`^metadata\[['"](\w+)['"]\]:\s*['"]([^'"]*)['"]$`)

func (s *Server) stripeSearch(r *http.Request, _ url.Values) (int, map[string]any) {
	match := searched.FindStringSubmatch(r.URL.Query().Get("query"))
	if match == nil {
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "", "the query is not understood")
	}
	data := []any{}
	for _, p := range s.payments {
		if p.provider == Stripe && p.metadata[match[1]] == match[2] {
			data = append(data, s.stripeIntent(p, lie{}))
		}
	}
	return http.StatusOK, map[string]any{
		"object": "search_result", "url": "/v1/payment_intents/search", "has_more": false, "data": data,
	}
}

func (s *Server) stripeCancel(r *http.Request, form url.Values) (int, map[string]any) {
	p := s.find(Stripe, r.PathValue("id"))
	switch {
	case p == nil:
		return http.StatusNotFound, stripeProblem("invalid_request_error", "resource_missing", "No such payment_intent")
	case p.state != open:
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "payment_intent_unexpected_state",
			"You cannot cancel this PaymentIntent because of its status")
	}
	p.state, p.cancellationReason = closed, form.Get("cancellation_reason")
	return http.StatusOK, s.stripeIntent(p, lie{})
}

func (s *Server) stripeRefundCall(_ *http.Request, form url.Values) (int, map[string]any) {
	p := s.find(Stripe, form.Get("payment_intent"))
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	switch {
	case p == nil || p.state != succeeded:
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "charge_not_found",
			"This PaymentIntent does not have a successful charge to refund.")
	case err != nil || amount <= 0:
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "parameter_invalid_integer", "amount is wrong")
	case s.strikes(Stripe, "refund", RefundRefused):
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "charge_disputed",
			"The charge has been charged back.")
	case p.refunded()+amount > p.amount:
		return http.StatusBadRequest, stripeProblem("invalid_request_error", "charge_already_refunded",
			"Refund amount is greater than the charge's unrefunded amount")
	}
	id := "re_" + random(12)
	f := &refund{
		payment: p, number: id, id: id, amount: amount, state: s.refundState(Stripe), reason: form.Get("reason"),
		askedAt: s.now(), at: s.now(), metadata: metadata(form),
	}
	p.refunds = append(p.refunds, f)
	if f.state == succeeded {
		s.notifyRefund(f)
	}
	return http.StatusOK, s.stripeRefunded(f, lie{})
}

// stripeRefunded is a Refund.
func (s *Server) stripeRefunded(f *refund, l lie) map[string]any {
	status := map[state]string{open: "pending", succeeded: "succeeded", failed: "failed"}[f.state]
	out := map[string]any{
		"id": f.id, "object": "refund", "amount": f.amount, "currency": f.payment.currency,
		"payment_intent": f.payment.number, "charge": f.payment.transaction,
		"status": status, "metadata": f.metadata, "created": f.askedAt.Unix(), "reason": nil,
	}
	if f.state == failed {
		out["failure_reason"] = "expired_or_canceled_card"
	}
	if l.amount {
		out["amount"] = f.amount + 1
	}
	if l.currency {
		out["currency"] = "jpy"
	}
	return out
}

func (s *Server) stripeRetrieveRefund(r *http.Request, _ url.Values) (int, map[string]any) {
	f := s.findRefund(Stripe, r.PathValue("id"))
	if f == nil {
		return http.StatusNotFound, stripeProblem("invalid_request_error", "resource_missing", "No such refund")
	}
	return http.StatusOK, s.stripeRefunded(f, lie{})
}

// list answers a page of objects, newest first, as every list of Stripe's does.
func list(r *http.Request, path string, objects []map[string]any) map[string]any {
	query := r.URL.Query()
	from, _ := strconv.ParseInt(query.Get("created[gte]"), 10, 64)
	until, err := strconv.ParseInt(query.Get("created[lt]"), 10, 64)
	limit, limitErr := strconv.Atoi(query.Get("limit"))
	if limitErr != nil || limit < 1 || limit > 100 {
		limit = 10
	}
	var matching []map[string]any
	for _, object := range slices.Backward(objects) {
		created, _ := object["created"].(int64)
		if created >= from && (err != nil || created < until) {
			matching = append(matching, object)
		}
	}
	if after := query.Get("starting_after"); after != "" {
		i := slices.IndexFunc(matching, func(o map[string]any) bool { return o["id"] == after })
		matching = matching[i+1:]
	}
	page := matching[:min(limit, len(matching))]
	if page == nil {
		page = []map[string]any{}
	}
	return map[string]any{"object": "list", "url": path, "has_more": len(matching) > len(page), "data": page}
}

func (s *Server) stripeRefunds(r *http.Request, _ url.Values) (int, map[string]any) {
	var all []map[string]any
	for _, p := range s.payments {
		intent := r.URL.Query().Get("payment_intent")
		if p.provider != Stripe || (intent != "" && intent != p.number) {
			continue
		}
		for _, f := range p.refunds {
			all = append(all, s.stripeRefunded(f, lie{}))
		}
	}
	return http.StatusOK, list(r, "/v1/refunds", all)
}

func (s *Server) stripeCharges(r *http.Request, _ url.Values) (int, map[string]any) {
	var all []map[string]any
	for _, p := range s.payments {
		if p.provider != Stripe || p.state != succeeded {
			continue
		}
		all = append(all, stripeCharge(p))
	}
	return http.StatusOK, list(r, "/v1/charges", all)
}

// stripeEvent signs an event by the scheme v1: HMAC-SHA256 of the time, a dot and the body.
func (s *Server) stripeEvent(kind string, object map[string]any, l lie) func() message {
	body := encode(map[string]any{
		"id": "evt_" + random(12), "object": "event", "api_version": StripeVersion, "created": s.now().Unix(),
		"livemode": l.merchant, "pending_webhooks": 1,
		"type": kind, "data": map[string]any{"object": object}, "request": map[string]any{"id": nil, "idempotency_key": nil},
	})
	secret := s.keys.StripeWebhookSecret
	if l.forged {
		secret = "whsec_forged"
	}
	return func() message {
		stamp := strconv.FormatInt(s.now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "." + string(body)))
		header := "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil)) + ",v0=" + strings.Repeat("0", 64)
		return message{
			contentType: "application/json; charset=utf-8", header: map[string]string{"Stripe-Signature": header}, body: body,
		}
	}
}

func (s *Server) stripePayment(p *payment) func(lie) func() message {
	return func(l lie) func() message { return s.stripeEvent("payment_intent.succeeded", s.stripeIntent(p, l), l) }
}

func (s *Server) stripeRefund(f *refund) func(lie) func() message {
	return func(l lie) func() message {
		kind := "refund.updated"
		if f.state == failed {
			kind = "refund.failed"
		}
		return s.stripeEvent(kind, s.stripeRefunded(f, l), l)
	}
}

// StripeEvent sends any event about a payment, such as payment_intent.payment_failed.
func (s *Server) StripeEvent(number, kind string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(Stripe, number)
	if p == nil {
		return ErrNoPayment
	}
	n := &notice{provider: Stripe, kind: "payment", number: number, url: s.webhook, taken: takenByStripe}
	s.notify(n, func(l lie) func() message { return s.stripeEvent(kind, s.stripeIntent(p, l), l) }, nil)
	return nil
}

// takenByStripe: any 2xx.
func takenByStripe(status int, _ []byte) bool { return status/100 == 2 }

// Expire ends the time of an open payment, as the provider does by itself.
func (s *Server) Expire(provider, number string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(provider, number)
	if p == nil {
		return ErrNoPayment
	}
	if p.state == open {
		p.state, p.expiresAt = closed, s.now().Add(-time.Second)
	}
	return nil
}
