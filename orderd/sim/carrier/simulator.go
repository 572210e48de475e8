// Package carrier is a carrier to test against: the other side of the protocol that package
// orderd/carrier's comment describes, written from that comment and not from its code. Parcels move
// by command or by the clock, what happens to them is pushed, and faults can be switched on.
package carrier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxBody     = 1 << 20
	pushTimeout = 5 * time.Second
	// pushAttempts of one push.
	pushAttempts = 20
	pushPause    = 50 * time.Millisecond
	clockSkew    = 5 * time.Minute
)

// Options of a Simulator. Name, Key and Clock have to be set.
type Options struct {
	Name string
	Key  []byte
	// ShopURL is the base URL pushes go to; empty: nothing is pushed.
	ShopURL string
	Clock   func() time.Time
	// Client pushes; http.DefaultClient if nil.
	Client *http.Client
	// State is a file that the parcels are kept in, for Restore; empty: they end with the process.
	State string
}

// Faults are what can go wrong, all of it until it is switched off.
type Faults struct {
	// Dead drops every connection.
	Dead bool `json:"dead"`
	// Slow answers late, unless the caller goes away before.
	Slow time.Duration `json:"slow"`
	// LoseAnswers does what is asked and then drops the connection.
	LoseAnswers bool `json:"lose_answers"`
	// Refuse answers every new parcel with 422 and this reason.
	Refuse string `json:"refuse"`
	// Duplicate pushes everything twice.
	Duplicate bool `json:"duplicate"`
	// Reorder holds every push back until the next one has been made.
	Reorder bool `json:"reorder"`
	// Forge signs pushes with another key.
	Forge bool `json:"forge"`
	// LosePushes pushes nothing, which leaves polling.
	LosePushes bool `json:"lose_pushes"`
}

// Event is one in the protocol's JSON.
type Event struct {
	EventID     string    `json:"event_id"`
	Code        string    `json:"code"`
	Description string    `json:"description"`
	Location    string    `json:"location"`
	At          time.Time `json:"at"`
}

// Item is one kind of goods in a parcel.
type Item struct {
	SKU      string `json:"sku"`
	Title    string `json:"title"`
	Quantity int64  `json:"quantity"`
}

// Parcel is what the simulator has of one.
type Parcel struct {
	ShipmentID     string            `json:"shipment_id"`
	OrderID        string            `json:"order_id"`
	DeliveryMethod string            `json:"delivery_method"`
	Address        map[string]string `json:"address"`
	Items          []Item            `json:"items"`

	TrackingNumber string  `json:"-"`
	Events         []Event `json:"-"`
	Cancelled      bool    `json:"-"`
	// Asked is how often PUT came for it.
	Asked int `json:"-"`

	body []byte
}

// Simulator is a carrier. It is an http.Handler for the calls of orderd; Control has a handler for
// people.
type Simulator struct {
	o   Options
	api *http.ServeMux

	mu      sync.Mutex
	faults  Faults
	parcels map[string]*Parcel
	order   []string
	nonces  map[string]time.Time
	swept   time.Time
	calls   int
	held    []push
	count   int
}

type push struct {
	shipmentID string
	events     []Event
}

// New makes a simulator without parcels.
func New(o Options) *Simulator {
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	s := &Simulator{o: o, parcels: map[string]*Parcel{}, nonces: map[string]time.Time{}, api: http.NewServeMux()}
	s.api.HandleFunc("PUT /v1/shipments/{id}", s.put)
	s.api.HandleFunc("GET /v1/shipments/{id}/events", s.get)
	s.api.HandleFunc("DELETE /v1/shipments/{id}", s.delete)
	return s
}

// ServeHTTP checks the signature and answers, with the faults there are.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	f := s.faults
	s.mu.Unlock()
	if f.Dead {
		panic(http.ErrAbortHandler)
	}
	if f.Slow > 0 {
		timer := time.NewTimer(f.Slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	if err := s.authentic(r, body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f.LoseAnswers {
		s.api.ServeHTTP(nowhere{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	s.api.ServeHTTP(w, r)
}

// nowhere is where lost answers go.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header          { return n.header }
func (nowhere) Write(sent []byte) (int, error) { return len(sent), nil }
func (nowhere) WriteHeader(int)                {}

func (s *Simulator) put(w http.ResponseWriter, r *http.Request) {
	var p Parcel
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &p) != nil || p.ShipmentID != r.PathValue("id") || len(p.Items) == 0 ||
		p.Address["recipient"] == "" {
		http.Error(w, "not a parcel", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.parcels[p.ShipmentID]
	switch {
	case !ok && s.faults.Refuse != "":
		answer(w, http.StatusUnprocessableEntity, map[string]string{"reason": s.faults.Refuse})
		return
	case !ok:
		s.count++
		p.TrackingNumber, p.body = fmt.Sprintf("%s-%06d", s.o.Name, s.count), body
		known = &p
		s.parcels[p.ShipmentID] = known
		s.order = append(s.order, p.ShipmentID)
		s.happens(known, "ACCEPTED", "")
	case known.Cancelled:
		answer(w, http.StatusUnprocessableEntity, map[string]string{"reason": "cancelled"})
		return
	case !bytes.Equal(known.body, body):
		http.Error(w, "another parcel has this id", http.StatusConflict)
		return
	}
	known.Asked++
	if err := s.save(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]string{"tracking_number": known.TrackingNumber})
}

func (s *Simulator) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.parcels[r.PathValue("id")]
	if !ok {
		http.Error(w, "unknown", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, map[string][]Event{"events": p.Events})
}

func (s *Simulator) delete(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.PathValue("id")
	p, ok := s.parcels[id]
	if !ok {
		// Whatever comes for it later is refused.
		p = &Parcel{ShipmentID: id}
		s.parcels[id] = p
	}
	if slices.ContainsFunc(p.Events, func(e Event) bool { return e.Code != "ACCEPTED" }) {
		http.Error(w, "collected", http.StatusConflict)
		return
	}
	p.Cancelled = true
	if err := s.save(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// happens adds an event to a parcel; the lock is held.
func (s *Simulator) happens(p *Parcel, code, description string) Event {
	e := Event{
		EventID: fmt.Sprintf("e%d", len(p.Events)+1), Code: code, Description: description, Location: "depot",
		At: s.o.Clock().UTC(),
	}
	p.Events = append(p.Events, e)
	return e
}

// Set switches faults.
func (s *Simulator) Set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Calls is how many requests have reached it, answered or not.
func (s *Simulator) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Parcels are copies of all there are, in the order they came.
func (s *Simulator) Parcels() []Parcel {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Parcel, 0, len(s.order))
	for _, id := range s.order {
		out = append(out, s.parcels[id].copy())
	}
	return out
}

// Parcel is a copy of one, and whether there is one.
func (s *Simulator) Parcel(shipmentID string) (Parcel, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.parcels[shipmentID]
	if !ok {
		return Parcel{}, false
	}
	return p.copy(), true
}

func (p *Parcel) copy() Parcel {
	out := *p
	out.Events, out.Items = slices.Clone(p.Events), slices.Clone(p.Items)
	return out
}

// Move lets something happen to a parcel and pushes it. The error is the shop's: its last answer
// was not 204.
func (s *Simulator) Move(ctx context.Context, shipmentID, code string) error {
	s.mu.Lock()
	p, ok := s.parcels[shipmentID]
	if !ok || p.TrackingNumber == "" {
		s.mu.Unlock()
		return errors.New("no such parcel")
	}
	if p.Cancelled {
		s.mu.Unlock()
		return errors.New("the parcel was cancelled")
	}
	made := push{shipmentID: shipmentID, events: []Event{s.happens(p, code, "")}}
	if err := s.save(); err != nil {
		s.mu.Unlock()
		return err
	}
	f := s.faults
	var due []push
	switch {
	case f.LosePushes || s.o.ShopURL == "":
	case f.Reorder && len(s.held) == 0:
		s.held = []push{made}
	default:
		due = append([]push{made}, s.held...)
		s.held = nil
	}
	s.mu.Unlock()
	var errs []error
	for _, d := range due {
		errs = append(errs, s.push(ctx, d, f))
		if f.Duplicate {
			errs = append(errs, s.push(ctx, d, f))
		}
	}
	return errors.Join(errs...)
}
