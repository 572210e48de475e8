package carrier_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	simulator "github.com/orderd-dev/orderd/orderd/sim/carrier"
)

const key = "0123456789abcdef"

func newHTTP(t testing.TB, url string) *carrier.HTTP {
	t.Helper()
	h, err := carrier.NewHTTP(
		carrier.HTTPOptions{Name: "swift", URL: url, Key: []byte(key), Clock: time.Now, Random: rand.Reader},
	)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func parcel() carrier.Parcel {
	return carrier.Parcel{
		ShipmentID: uuid.New(), OrderID: uuid.New(), DeliveryMethod: "standard",
		Address: &addressv1.Address{Recipient: "Li", Phone: "+86 1", Country: "CN", City: "Hangzhou", Street: "1 West Lake"},
		Items:   []carrier.Item{{SKU: "tea", Title: "Tea", Quantity: 2}},
	}
}

func TestNewHTTPRefuses(t *testing.T) {
	for name, o := range map[string]carrier.HTTPOptions{
		"a short key":    {Name: "swift", URL: "http://c", Key: []byte("short"), Random: rand.Reader},
		"a relative URL": {Name: "swift", URL: "/c", Key: []byte(key), Random: rand.Reader},
		"another scheme": {Name: "swift", URL: "ftp://c", Key: []byte(key), Random: rand.Reader},
		"a query":        {Name: "swift", URL: "http://c?a", Key: []byte(key), Random: rand.Reader},
		"a name":         {Name: "Swift Ltd", URL: "http://c", Key: []byte(key), Random: rand.Reader},
		"no randomness":  {Name: "swift", URL: "http://c", Key: []byte(key)},
	} {
		if _, err := carrier.NewHTTP(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Both sides were written from the same comment, by themselves.
func TestBothSidesUnderstandEachOther(t *testing.T) {
	ctx := t.Context()
	h := &handler{}
	shop := httptest.NewServer(h)
	defer shop.Close()
	sim := simulator.New(simulator.Options{Name: "swift", Key: []byte(key), ShopURL: shop.URL, Clock: time.Now})
	server := httptest.NewServer(sim)
	defer server.Close()
	c := newHTTP(t, server.URL+"/")
	h.carrier = c

	p := parcel()
	if _, err := c.Track(ctx, p.ShipmentID); !errors.Is(err, carrier.ErrUnknownShipment) {
		t.Fatalf("tracking an unknown one: %v", err)
	}
	number, err := c.Request(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Request(ctx, p); err != nil || again != number {
		t.Fatalf("again: %q, %v; want %q", again, err, number)
	}
	got, _ := sim.Parcel(p.ShipmentID.String())
	if diff := cmp.Diff([]simulator.Item{{SKU: "tea", Title: "Tea", Quantity: 2}},
		got.Items); diff != "" || got.Address["city"] != "Hangzhou" ||
		got.OrderID != p.OrderID.String() {
		t.Fatalf("the carrier has %+v %s", got, diff)
	}
	if err := sim.Move(ctx, p.ShipmentID.String(), "IN_TRANSIT"); err != nil {
		t.Fatal(err)
	}
	if len(h.pushes) != 1 || h.pushes[0].ShipmentID != p.ShipmentID || h.pushes[0].Events[0].Code != carrier.InTransit {
		t.Fatalf("pushed %+v", h.pushes)
	}
	events, err := c.Track(ctx, p.ShipmentID)
	if err != nil || len(events) != 2 || events[0].Code != carrier.Accepted || events[1].Code != carrier.InTransit ||
		events[1].ID != h.pushes[0].Events[0].ID {
		t.Fatalf("tracked %+v, %v", events, err)
	}
	if err := c.Cancel(ctx, p.ShipmentID); !errors.Is(err, carrier.ErrCollected) {
		t.Fatalf("cancelling what has left: %v", err)
	}
	other := parcel()
	if err := c.Cancel(ctx, other.ShipmentID); err != nil {
		t.Fatalf("cancelling what never came: %v", err)
	}
	var refused *carrier.RefusedError
	if _, err := c.Request(ctx, other); !errors.As(err, &refused) {
		t.Fatalf("requesting what was cancelled: %v", err)
	}
	sim.Set(simulator.Faults{Forge: true})
	if err := sim.Move(ctx, p.ShipmentID.String(), "DELIVERED"); err == nil || len(h.pushes) != 1 {
		t.Fatalf("a forged push: %v, %d taken", err, len(h.pushes))
	}
}

// handler takes pushes as orderd does.
type handler struct {
	carrier *carrier.HTTP
	pushes  []carrier.Push
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, r.ContentLength)
	if _, err := r.Body.Read(body); err != nil && err.Error() != "EOF" {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p, err := h.carrier.ParsePush(r.Header, body, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	h.pushes = append(h.pushes, p)
	w.WriteHeader(http.StatusNoContent)
}

func TestAnswersOfACarrier(t *testing.T) {
	many := strings.Repeat(`{"event_id":"e","code":"LOST","at":"2030-01-01T00:00:00Z"},`, carrier.MaxTrackedEvents)
	tests := map[string]struct {
		status int
		body   string
		// want in the error of Request and of Track; none if empty.
		wantRequest, wantTrack string
	}{
		"well":               {200, `{"tracking_number":"T1","events":[]}`, "", ""},
		"no JSON":            {200, `tracking`, "reading the tracking number", "reading events"},
		"no tracking number": {200, `{}`, "tracking number is not", ""},
		"spaces": {
			200,
			`{"tracking_number":"T 1","events":[{"event_id":" "}]}`,
			"tracking number is not",
			"event_id",
		},
		"a long number": {200, `{"tracking_number":"` + strings.Repeat("1", 65) + `"}`, "tracking number is not", ""},
		"no time":       {200, `{"tracking_number":"T1","events":[{"event_id":"e"}]}`, "", "at is not a time"},
		"NUL": {
			200,
			`{"tracking_number":"T1","events":[{"event_id":"e","description":"\u0000","at":"2030-01-01T00:00:00Z"}]}`,
			"",
			"description",
		},
		"too many": {
			200,
			`{"tracking_number":"T1","events":[` + many + `{"event_id":"e"}]}`,
			"",
			"events, want at most",
		},
		"too large": {
			200,
			`{"tracking_number":"T1","x":"` + strings.Repeat("x", 300<<10) + `"}`,
			"too large",
			"too large",
		},
		"refused":        {422, `{"reason":"too heavy"}`, "refuses: too heavy", "answered 422"},
		"refused rudely": {422, `no`, "refuses: it gave no reason", "answered 422"},
		"moved":          {302, ``, "answered 302", "answered 302"},
		"broken":         {500, ``, "answered 500", "answered 500"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprint(w, tt.body)
			}))
			defer server.Close()
			c := newHTTP(t, server.URL)
			_, err := c.Request(t.Context(), parcel())
			check(t, err, tt.wantRequest)
			_, err = c.Track(t.Context(), uuid.New())
			check(t, err, tt.wantTrack)
		})
	}
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v; want %q", err, want)
	}
}

// An open breaker answers at once; after its pause one call decides.
func TestBreaker(t *testing.T) {
	sim := simulator.New(simulator.Options{Name: "swift", Key: []byte(key), Clock: time.Now})
	server := httptest.NewServer(sim)
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b, err := carrier.NewBreaker(carrier.BreakerOptions{
		Carrier:  newHTTP(t, server.URL),
		Failures: 2,
		Pause:    time.Second,
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	id := uuid.New()
	// A caller who goes away and an answer that says no are no failures.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 5 {
		_, _ = b.Track(gone, id)
		if _, err := b.Track(ctx, id); !errors.Is(err, carrier.ErrUnknownShipment) {
			t.Fatal(err)
		}
	}
	sim.Set(simulator.Faults{Dead: true})
	for range 2 {
		if _, err := b.Track(ctx, id); err == nil || errors.Is(err, carrier.ErrUnavailable) {
			t.Fatalf("asking a dead carrier: %v", err)
		}
	}
	calls := sim.Calls()
	if _, err := b.Track(ctx, id); !errors.Is(err, carrier.ErrUnavailable) || !b.Open() {
		t.Fatalf("with the breaker open: %v", err)
	}
	if _, err := b.Request(ctx, parcel()); !errors.Is(err, carrier.ErrUnavailable) || sim.Calls() != calls {
		t.Fatalf("with the breaker open: %v, %d calls", err, sim.Calls()-calls)
	}
	sim.Set(simulator.Faults{})
	deadline := time.Now().Add(5 * time.Second)
	for b.Open() {
		if time.Now().After(deadline) {
			t.Fatal("the breaker stays open")
		}
	}
	if _, err := b.Request(ctx, parcel()); err != nil || b.Open() {
		t.Fatalf("after the pause: %v", err)
	}
}
