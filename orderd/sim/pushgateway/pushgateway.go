// Package pushgateway is an app's push gateway as orderd sees it: an HTTP server that takes
// CloudEvents signed by the Standard Webhooks scheme. It is written from the specifications, not
// from orderd's code, and has faults that can be switched on.
package pushgateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// tolerance is how far a message's timestamp may be from now.
	tolerance = 5 * time.Minute
	maxBody   = 64 << 10
	keyPrefix = "whsec_"
	version   = "v1"
	mediaType = "application/cloudevents+json"
)

// Notification is one that was taken.
type Notification struct {
	// WebhookID is the same for each repetition.
	WebhookID string
	// Times it came.
	Times int
	// Event is the CloudEvent's attributes.
	ID, Type, Source, Subject string
	// Data of the event.
	Data Data
}

// Data is what a device is told.
type Data struct {
	BuyerID    string    `json:"buyerId"`
	OrderID    string    `json:"orderId"`
	Event      string    `json:"event"`
	Language   string    `json:"language"`
	Title      string    `json:"title"`
	Body       string    `json:"body"`
	OccurredAt time.Time `json:"occurredAt"`
}

// Fault is how the gateway misbehaves; the zero value is not at all.
type Fault struct {
	// Status is answered instead of taking the notification.
	Status int
	// RetryAfter is that answer's header.
	RetryAfter string
	// Drop closes the connection without an answer.
	Drop bool
	// Delay comes before everything else.
	Delay time.Duration
	// TakeFirst takes the notification although the answer says otherwise.
	TakeFirst bool
}

// Gateway is the simulator; it is an http.Handler.
type Gateway struct {
	clock func() time.Time

	mu       sync.Mutex
	keys     [][]byte
	fault    func(Notification) Fault
	taken    map[string]*Notification
	order    []string
	refused  []string
	requests int
}

// New makes a gateway that knows the secrets (whsec_…).
func New(clock func() time.Time, secrets ...string) (*Gateway, error) {
	g := &Gateway{clock: clock, taken: map[string]*Notification{}}
	return g, g.SetSecrets(secrets...)
}

// SetSecrets changes the keys that a message may be signed with.
func (g *Gateway) SetSecrets(secrets ...string) error {
	var keys [][]byte
	for _, s := range secrets {
		encoded, ok := strings.CutPrefix(s, keyPrefix)
		if !ok {
			return fmt.Errorf("a secret begins with %s", keyPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return errors.New("a secret is not base64")
		}
		keys = append(keys, key)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = keys
	return nil
}

// SetFault has the gateway misbehave from now on, for each notification as fault
// says; nil: not at all.
func (g *Gateway) SetFault(fault func(Notification) Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = fault
}

// Taken are the notifications in the sequence in which they first came.
func (g *Gateway) Taken() []Notification {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Notification, len(g.order))
	for i, id := range g.order {
		out[i] = *g.taken[id]
	}
	return out
}

// Refused is why requests were refused, by the gateway itself and not by a fault.
func (g *Gateway) Refused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.refused)
}

// Requests is how many came, whatever became of them.
func (g *Gateway) Requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// ServeHTTP takes a notification with 204, or refuses it with 400 or, if its signature is not
// right, 401.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		g.refuse(w, http.StatusBadRequest, "the body cannot be read")
		return
	}
	if err := g.verify(r.Header, body); err != nil {
		g.refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	n, err := parse(r, body)
	if err != nil {
		g.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	g.mu.Lock()
	g.requests++
	var f Fault
	if g.fault != nil {
		f = g.fault(n)
	}
	g.mu.Unlock()
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if f.Status == 0 && !f.Drop || f.TakeFirst {
		g.take(n)
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.WriteHeader(f.Status)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (g *Gateway) take(n Notification) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.taken[n.WebhookID]; known != nil {
		known.Times++
		return
	}
	n.Times = 1
	g.taken[n.WebhookID] = &n
	g.order = append(g.order, n.WebhookID)
}

func (g *Gateway) refuse(w http.ResponseWriter, status int, why string) {
	g.mu.Lock()
	g.requests++
	g.refused = append(g.refused, why)
	g.mu.Unlock()
	http.Error(w, why, status)
}

// verify checks the signature: HMAC-SHA256 over id, timestamp and body, joined by full stops, in
// base64; one of the header's signatures has to be right.
func (g *Gateway) verify(header http.Header, body []byte) error {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	if id == "" || strings.Contains(id, ".") {
		return errors.New("webhook-id is missing or holds a full stop")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is no number")
	}
	if age := g.clock().Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return errors.New("webhook-timestamp is too far from now")
	}
	g.mu.Lock()
	keys := g.keys
	g.mu.Unlock()
	for _, entry := range strings.Split(header.Get("webhook-signature"), " ") {
		v, signature, _ := strings.Cut(entry, ",")
		given, err := base64.StdEncoding.DecodeString(signature)
		if v != version || err != nil {
			continue
		}
		for _, key := range keys {
			mac := hmac.New(sha256.New, key)
			fmt.Fprintf(mac, "%s.%d.%s", id, seconds, body)
			if hmac.Equal(given, mac.Sum(nil)) {
				return nil
			}
		}
	}
	return errors.New("no webhook-signature is right")
}

// parse reads a CloudEvent in structured mode.
func parse(r *http.Request, body []byte) (Notification, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaType || r.Method != http.MethodPost {
		return Notification{}, errors.New("must be a POST of " + mediaType)
	}
	var e struct {
		SpecVersion string `json:"specversion"`
		ID          string `json:"id"`
		Type        string `json:"type"`
		Source      string `json:"source"`
		Subject     string `json:"subject"`
		ContentType string `json:"datacontenttype"`
		Data        Data   `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return Notification{}, errors.New("the body is no CloudEvent")
	}
	if e.SpecVersion != "1.0" || e.ID == "" || e.Type == "" || e.Source == "" || e.ContentType != "application/json" {
		return Notification{}, errors.New("the CloudEvent misses an attribute")
	}
	return Notification{WebhookID: r.Header.Get("webhook-id"), ID: e.ID, Type: e.Type, Source: e.Source,
		Subject: e.Subject, Data: e.Data}, nil
}
