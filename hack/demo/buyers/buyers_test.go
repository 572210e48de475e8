package buyers

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"net/http"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

func samplePlan(start time.Time) plan.Plan {
	return plan.Plan{
		Run: "t", Promotion: "sale", FlashURL: "http://flash", StandardURL: "http://standard", IssuerURL: "http://issuer",
		Start: start, End: start.Add(25 * time.Second), Buyers: 5000, RushSeconds: 18, InFlight: 8, Seed: 1,
		Items: []plan.Item{
			{SKU: "A", Stock: 100, LimitPerBuyer: 2, UnitPrice: 100}, {SKU: "B", Stock: 100, LimitPerBuyer: 1, UnitPrice: 200},
			{SKU: "C", Stock: 100, LimitPerBuyer: 3, UnitPrice: 300},
		},
	}
}

func TestCrowd(t *testing.T) {
	p := samplePlan(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	visits := crowd(p)
	if len(visits) != p.Buyers {
		t.Fatalf("%d buyers, want %d", len(visits), p.Buyers)
	}
	kinds := map[string]int{}
	ids := map[string]bool{}
	for i, v := range visits {
		if i > 0 && v.at.Before(visits[i-1].at) {
			t.Fatalf("buyer %d comes before the one before", i)
		}
		switch {
		case v.at.Before(p.Start):
			kinds["early"]++
		case v.at.After(p.End):
			kinds["late"]++
		}
		for _, s := range v.steps {
			if ids[s.requestID] {
				t.Fatalf("request id %s is used twice", s.requestID)
			}
			ids[s.requestID] = true
			count(kinds, s, p)
		}
	}
	for _, kind := range []string{"early", "late", "taps", "again", "changed", "several items", "over the limit", "more"} {
		if kinds[kind] == 0 {
			t.Errorf("nobody is %q: %v", kind, kinds)
		}
	}
	if !slices.EqualFunc(visits, crowd(p), func(a, b visit) bool { return a.at.Equal(b.at) && a.buyerID == b.buyerID }) {
		t.Error("the same seed made another crowd")
	}
}

func count(kinds map[string]int, s step, p plan.Plan) {
	if s.taps > 1 {
		kinds["taps"]++
	}
	if s.again {
		kinds["again"]++
	}
	if s.changed {
		kinds["changed"]++
	}
	if len(s.items) > 1 {
		kinds["several items"]++
	}
	if strings.HasSuffix(s.requestID, "-2") {
		kinds["more"]++
	}
	for _, it := range p.Items {
		if s.items[0].GetSku() == it.SKU && s.items[0].GetQuantity() > it.LimitPerBuyer {
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

func (c *counter) PlaceFlashOrder(_ context.Context, req *flashv1.PlaceFlashOrderRequest) (*flashv1.PlaceFlashOrderResponse, error) {
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

func TestAskRetriesWithTheSameRequestID(t *testing.T) {
	lane := &counter{refuse: []error{
		rpcerr.Retry(connect.CodeUnavailable, "PARTITION_MOVING", "moving", time.Millisecond),
		connect.NewError(connect.CodeDeadlineExceeded, "too slow"),
	}}
	l, app := serve(t, lane)
	l.ask(t.Context(), app, order{buyerID: "b", requestID: "r", items: []*flashv1.FlashOrderItem{{Sku: "A", Quantity: 1}}})
	if want := []string{"r", "r", "r"}; !slices.Equal(lane.asked, want) {
		t.Errorf("asked %v, want %v", lane.asked, want)
	}
	if l.result.Accepted != 1 || l.result.Requests != 3 || l.result.Units["A"] != 1 || len(l.open) != 0 {
		t.Errorf("result %+v, open %v", l.result, l.open)
	}
	if fmt.Sprint(l.result.Refused) != "map[PARTITION_MOVING:1 deadline_exceeded:1]" {
		t.Errorf("refused %v", l.result.Refused)
	}
}

func TestAskTakesARefusalForAnAnswer(t *testing.T) {
	l, app := serve(t, &counter{refuse: []error{rpcerr.New(connect.CodeResourceExhausted, "SOLD_OUT", "sold out")}})
	l.ask(t.Context(), app, order{buyerID: "b", requestID: "r", items: []*flashv1.FlashOrderItem{{Sku: "A", Quantity: 1}}})
	if l.result.Accepted != 0 || l.result.SoldOut["A"] != 1 || l.result.Refused["SOLD_OUT"] != 1 || len(l.open) != 0 {
		t.Errorf("result %+v, open %v", l.result, l.open)
	}
}

func TestLedgerNoticesBrokenPromises(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	one := []*flashv1.FlashOrderItem{{Sku: "B", Quantity: 1}}
	tests := map[string]struct {
		orders []order
		at     time.Time
		want   string
	}{
		"none":                        {[]order{{id: "1", buyerID: "a", requestID: "r", items: one}}, start, ""},
		"the same answer twice":       {[]order{{id: "1", buyerID: "a", requestID: "r", items: one}, {id: "1", buyerID: "a", requestID: "r", items: one}}, start, ""},
		"two orders for a request":    {[]order{{id: "1", buyerID: "a", requestID: "r", items: one}, {id: "2", buyerID: "a", requestID: "r", items: one}}, start, "made two orders"},
		"one order for two requests":  {[]order{{id: "1", buyerID: "a", requestID: "r", items: one}, {id: "1", buyerID: "b", requestID: "s", items: one}}, start, "given to two requests"},
		"more than a buyer may have":  {[]order{{id: "1", buyerID: "a", requestID: "r", items: one}, {id: "2", buyerID: "a", requestID: "s", items: one}}, start, "the limit is 1"},
		"accepted before the opening": {[]order{{id: "1", buyerID: "a", requestID: "r", items: one}}, start.Add(-time.Second), "before the start"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLedger(samplePlan(start))
			for _, o := range tt.orders {
				l.accepted(o, tt.at, tt.at)
			}
			got := strings.Join(l.result.Broken, "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("broken: %q, want %q", got, tt.want)
			}
		})
	}
}

// serve puts the lane behind a real server, so that errors go over the wire.
func serve(t *testing.T, lane *counter) (*ledger, flashv1connect.FlashServiceClient) {
	t.Helper()
	server := connect.NewServer()
	flashv1connect.RegisterFlashServiceHandler(server, lane)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	app := flashv1connect.NewFlashServiceClient(connect.NewClient(connecthttp.NewTransport(s.Client(), s.URL)))
	return newLedger(samplePlan(time.Now().Add(-time.Second))), app
}
