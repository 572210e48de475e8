package buyers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
	"github.com/orderd-dev/orderd/orderd/sim/buyers"
)

func sampleSale(start time.Time) buyers.Sale {
	return buyers.Sale{
		Promotion: "sale", Start: start, End: start.Add(25 * time.Second),
		Offers: []audit.Offer{
			{SKU: "A", Stock: 100, Limit: 2, Price: 100}, {SKU: "B", Stock: 100, Limit: 1, Price: 200},
			{SKU: "C", Stock: 100, Limit: 3, Price: 300},
		},
	}
}

func TestCrowd(t *testing.T) {
	sale := sampleSale(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	c := buyers.Crowd{Sale: sale, Name: "t", Buyers: 5000, Rush: 18 * time.Second, Seed: 1}
	visits := c.Visits()
	if len(visits) != c.Buyers {
		t.Fatalf("%d buyers, want %d", len(visits), c.Buyers)
	}
	kinds := map[string]int{}
	ids := map[string]bool{}
	for i, v := range visits {
		if i > 0 && v.At.Before(visits[i-1].At) {
			t.Fatalf("buyer %d comes before the one before", i)
		}
		switch {
		case v.At.Before(sale.Start):
			kinds["early"]++
		case v.At.After(sale.End):
			kinds["late"]++
		}
		for _, s := range v.Steps {
			if ids[s.Order.Request] {
				t.Fatalf("request id %s is used twice", s.Order.Request)
			}
			ids[s.Order.Request] = true
			count(kinds, s, sale)
		}
	}
	for _, kind := range []string{"early", "late", "taps", "again", "changed", "several items", "over the limit", "more"} {
		if kinds[kind] == 0 {
			t.Errorf("nobody is %q: %v", kind, kinds)
		}
	}
	if diff := cmp.Diff(visits, c.Visits()); diff != "" {
		t.Errorf("the same seed made another crowd:\n%s", diff)
	}
}

func count(kinds map[string]int, s buyers.Step, sale buyers.Sale) {
	if s.Taps > 1 {
		kinds["taps"]++
	}
	if s.Repeated {
		kinds["again"]++
	}
	if s.Changed {
		kinds["changed"]++
	}
	if len(s.Order.Items) > 1 {
		kinds["several items"]++
	}
	if strings.HasSuffix(s.Order.Request, "-2") {
		kinds["more"]++
	}
	for _, o := range sale.Offers {
		if s.Order.Items[0].SKU == o.SKU && s.Order.Items[0].Quantity > o.Limit {
			kinds["over the limit"]++
		}
	}
}

// counter is a flash lane that refuses the first answers and then accepts, once a request id.
type counter struct {
	flashv1connect.UnimplementedFlashServiceHandler
	mu     sync.Mutex
	refuse []error
	asked  []string
}

func (c *counter) PlaceFlashOrder(
	_ context.Context, req *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, req.GetRequestId())
	if len(c.refuse) > 0 {
		err := c.refuse[0]
		c.refuse = c.refuse[1:]
		return nil, err
	}
	return &flashv1.PlaceFlashOrderResponse{OrderId: "order-of-" + req.GetRequestId(), AcceptedAt: timestamppb.Now()}, nil
}

func one(sku string) []audit.Item { return []audit.Item{{SKU: sku, Quantity: 1}} }

func TestAskRetriesWithTheSameRequestID(t *testing.T) {
	lane := &counter{refuse: []error{
		rpcerr.Retry(connect.CodeUnavailable, "PARTITION_MOVING", "moving", time.Millisecond),
		connect.NewError(connect.CodeDeadlineExceeded, "too slow"),
	}}
	r, app := serve(t, lane)
	r.Ask(t.Context(), app, buyers.Order{Buyer: "b", Request: "r", Items: one("A")})
	if want := []string{"r", "r", "r"}; !slices.Equal(lane.asked, want) {
		t.Errorf("asked %v, want %v", lane.asked, want)
	}
	got := r.Ledger.Tally()
	if got.Accepted != 1 || got.Requests != 3 || got.Units["A"] != 1 || len(r.Ledger.Open()) != 0 {
		t.Errorf("tally %+v, open %v", got, r.Ledger.Open())
	}
	if got.InFlight != 0 || got.Retried != 2 || got.FirstAnswer.IsZero() || got.FirstAccepted.IsZero() {
		t.Errorf("tally %+v", got)
	}
	if fmt.Sprint(got.Refused) != "map[PARTITION_MOVING:1 deadline_exceeded:1]" {
		t.Errorf("refused %v", got.Refused)
	}
}

func TestAskTakesARefusalForAnAnswer(t *testing.T) {
	r, app := serve(t, &counter{refuse: []error{rpcerr.New(connect.CodeResourceExhausted, "SOLD_OUT", "sold out")}})
	r.Ask(t.Context(), app, buyers.Order{Buyer: "b", Request: "r", Items: one("A")})
	got := r.Ledger.Tally()
	if got.Accepted != 0 || got.SoldOut["A"] != 1 || got.Refused["SOLD_OUT"] != 1 || len(r.Ledger.Open()) != 0 {
		t.Errorf("tally %+v, open %v", got, r.Ledger.Open())
	}
}

func TestARushDoesEveryStep(t *testing.T) {
	lane := &counter{}
	r, app := serve(t, lane)
	r.Sale.End, r.InFlight = time.Now().Add(time.Minute), 2
	order := func(request string) buyers.Order {
		return buyers.Order{Buyer: "b", Request: request, Items: one("C")}
	}
	r.Run(t.Context(), []buyers.Visit{
		{Buyer: "b", Steps: []buyers.Step{
			{Order: order("twice"), Taps: 2}, {Order: order("again"), Taps: 1, Repeated: true},
		}},
		{Buyer: "b", Steps: []buyers.Step{{Order: order("changed"), Taps: 1, Changed: true}}},
	}, []flashv1connect.FlashServiceClient{app})
	slices.Sort(lane.asked)
	if diff := cmp.Diff([]string{"again", "again", "changed", "changed", "twice", "twice"}, lane.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	got := r.Ledger.Tally()
	if got.Accepted != 3 || got.Repeated != 2 || len(r.Ledger.Orders()) != 3 {
		t.Errorf("tally %+v, orders %v", got, r.Ledger.Orders())
	}
	// The lane takes any body, which is a broken promise.
	if len(got.Broken) != 1 || !strings.Contains(got.Broken[0], "accepted again with another body") {
		t.Errorf("broken %q", got.Broken)
	}
}

func TestLedgerNoticesBrokenPromises(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	bought := func(id, buyer, request string) buyers.Order {
		return buyers.Order{ID: id, Buyer: buyer, Request: request, Items: one("B")}
	}
	tests := map[string]struct {
		orders []buyers.Order
		at     time.Time
		want   string
	}{
		"none":                  {[]buyers.Order{bought("1", "a", "r")}, start, ""},
		"the same answer twice": {[]buyers.Order{bought("1", "a", "r"), bought("1", "a", "r")}, start, ""},
		"two orders for a request": {[]buyers.Order{bought("1", "a", "r"), bought("2", "a", "r")}, start,
			"made two orders"},
		"one order for two requests": {[]buyers.Order{bought("1", "a", "r"), bought("1", "b", "s")}, start,
			"given to two requests"},
		"more than a buyer may have": {[]buyers.Order{bought("1", "a", "r"), bought("2", "a", "s")}, start,
			"the limit is 1"},
		"accepted before the opening": {[]buyers.Order{bought("1", "a", "r")}, start.Add(-time.Second), "before the start"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := buyers.NewLedger(sampleSale(start))
			for _, o := range tt.orders {
				l.Accepted(o, tt.at, tt.at)
			}
			got := strings.Join(l.Tally().Broken, "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("broken: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLedgerKnowsWhatIsOpen(t *testing.T) {
	l := buyers.NewLedger(sampleSale(time.Now()))
	lost := buyers.Order{Buyer: "a", Request: "r", Items: one("A")}
	l.Sent(lost)
	l.Done()
	if diff := cmp.Diff([]buyers.Order{lost}, l.Open()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	lost.ID = "1"
	l.Found(lost)
	if got := l.Tally(); len(l.Open()) != 0 || got.LateFound != 1 || got.Accepted != 1 || !l.Has("a", "r") {
		t.Errorf("tally %+v, open %v", got, l.Open())
	}
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want buyers.Answer
	}{
		{"a success", nil, buyers.Answer{Outcome: audit.Accepted}},
		{
			"a refusal", rpcerr.New(connect.CodeResourceExhausted, "SOLD_OUT", "", "sku", "A"),
			buyers.Answer{Outcome: audit.Refused, Reason: "SOLD_OUT", SKU: "A"},
		},
		{
			"a refusal of a pod that may not know better", rpcerr.New(connect.CodeNotFound, "PROMOTION_NOT_FOUND", ""),
			buyers.Answer{Reason: "PROMOTION_NOT_FOUND"},
		},
		{
			"a delay", rpcerr.Retry(connect.CodeResourceExhausted, "RATE_LIMITED", "", time.Second),
			buyers.Answer{Reason: "RATE_LIMITED", Again: true, After: time.Second},
		},
		{
			"no answer in time", connect.NewError(connect.CodeDeadlineExceeded, "too slow"),
			buyers.Answer{Reason: "deadline_exceeded", Again: true},
		},
		{"no answer at all", errors.New("connection reset"), buyers.Answer{Reason: "unknown", Again: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, buyers.Read(tt.err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetryWaitsForTheOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(3 * time.Second)
		early := 0
		r := buyers.Retry{
			Within: time.Second, Shortest: time.Millisecond, Longest: time.Second, Opens: start,
			Told: func(a buyers.Answer, last bool) {
				if early++; a.Reason != "NOT_STARTED" || last {
					t.Errorf("told %+v, last: %v", a, last)
				}
			},
		}
		err := r.Do(t.Context(), func(context.Context) error {
			if time.Now().Before(start) {
				return rpcerr.New(connect.CodeFailedPrecondition, "NOT_STARTED", "")
			}
			return nil
		})
		if late := time.Since(start); err != nil || early != 1 || late > time.Second {
			t.Errorf("%v after the start: %v; told %d times", late, err, early)
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		calls := 0
		err := buyers.Retry{Within: time.Second, Shortest: 100 * time.Millisecond, Longest: time.Second}.Do(ctx,
			func(ctx context.Context) error {
				calls++
				<-ctx.Done()
				return ctx.Err()
			})
		// A call takes a second, and a delay from half of one to one and a half once it has grown.
		if !errors.Is(err, context.DeadlineExceeded) || calls < 4 || calls > 9 {
			t.Errorf("%d calls in ten seconds: %v", calls, err)
		}
	})
}

// serve puts the lane behind a real server, so that errors go over the wire.
func serve(t *testing.T, lane *counter) (buyers.Rush, flashv1connect.FlashServiceClient) {
	t.Helper()
	server := connect.NewServer()
	flashv1connect.RegisterFlashServiceHandler(server, lane)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	app := flashv1connect.NewFlashServiceClient(connect.NewClient(connecthttp.NewTransport(s.Client(), s.URL)))
	sale := sampleSale(time.Now().Add(-time.Second))
	return buyers.Rush{
		Sale: sale, Ledger: buyers.NewLedger(sale),
		As: func(ctx context.Context, _ string) context.Context { return ctx },
	}, app
}
