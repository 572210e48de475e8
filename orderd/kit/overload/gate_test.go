package overload

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func half(n int64) int64 { return n / 2 }

func newGate(t *testing.T, o Options) *Gate {
	t.Helper()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = half
	}
	g, err := NewGate(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// unread fails a test if a handler, or whoever stands before it, reads a request's body.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a refused request was read")
	return 0, errors.New("read")
}

func (unread) Close() error { return nil }

func TestARefusalIsWhatConnectsClientsRead(t *testing.T) {
	g := newGate(t, Options{Max: 1, Lowest: 1})
	if !g.enter() {
		t.Fatal("the first request was refused")
	}
	s := httptest.NewUnstartedServer(
		g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let in") })),
	)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	tests := []struct {
		name    string
		options []connecthttp.Option
	}{
		{name: "Connect with binary messages"},
		{name: "Connect with JSON", options: []connecthttp.Option{connecthttp.WithProtoJSON()}},
		{name: "Connect by GET", options: []connecthttp.Option{connecthttp.WithHTTPGet()}},
		{name: "gRPC", options: []connecthttp.Option{connecthttp.WithGRPC()}},
		{name: "gRPC with JSON", options: []connecthttp.Option{connecthttp.WithGRPC(), connecthttp.WithProtoJSON()}},
		{name: "gRPC-Web", options: []connecthttp.Option{connecthttp.WithGRPCWeb()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := flashv1connect.NewFlashServiceClient(
				connect.NewClient(connecthttp.NewTransport(s.Client(), s.URL, tt.options...)),
			)
			_, err := client.GetPromotion(t.Context(), &flashv1.GetPromotionRequest{Promotion: "sale"})
			if connect.CodeOf(err) != connect.CodeUnavailable || rpcerr.Reason(err) != "OVERLOADED" {
				t.Errorf("GetPromotion: %v (%s), want UNAVAILABLE/OVERLOADED", err, rpcerr.Reason(err))
			}
			if after, ok := rpcerr.RetryAfter(err); !ok || after < soonest || after > soonest+narrow {
				t.Errorf("retry after %s, %t; want from %s to %s", after, ok, soonest, soonest+narrow)
			}
		})
	}
}

func TestARefusalReadsNothing(t *testing.T) {
	g := newGate(t, Options{Max: 1, Lowest: 1})
	handler := g.Handler(http.NotFoundHandler())
	if !g.enter() {
		t.Fatal("the first request was refused")
	}
	request := httptest.NewRequest(http.MethodPost, "/", unread{t})
	request.Header.Set("Content-Type", "application/proto")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	if response.Code != http.StatusServiceUnavailable || !strings.Contains(response.Body.String(), `"unavailable"`) {
		t.Errorf("status %d, body %s", response.Code, response.Body)
	}
	if after := response.Header().Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After %q, want 1 second", after)
	}
	if cache := response.Header().Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", cache)
	}
	g.leave()
	response = httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/", nil))
	if response.Code != http.StatusNotFound {
		t.Errorf("with room again: status %d, want the handler's", response.Code)
	}
}

// A request is let in whenever fewer are in flight than the limit, and never when there are more.
func TestTheGateCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		g, err := NewGate(Options{Max: limit, Lowest: limit, Clock: time.Now, Random: half})
		if err != nil {
			t.Fatal(err)
		}
		in := 0
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				if got, want := g.enter(), in < limit; got != want {
					t.Fatalf("with %d of %d in flight let in: %t, want %t", in, limit, got, want)
				}
				in = min(in+1, limit)
			},
			"leave": func(*rapid.T) {
				if in > 0 {
					g.leave()
					in--
				}
			},
		})
	})
}

func TestLimiter(t *testing.T) {
	tests := []struct {
		name     string
		slowness float64
		full     bool
		from     float64
		want     float64
	}{
		{name: "slow calls lower it as much as they are slow", slowness: 1.6, full: true, from: 1000, want: 937.5},
		{name: "but to half at once at most", slowness: 10, full: true, from: 1000, want: 500},
		{name: "and not below the lowest", slowness: 10, full: true, from: 120, want: 100},
		{name: "quick calls raise it", slowness: 1, full: true, from: 1000, want: 1100},
		{name: "if it was reached", slowness: 1, full: false, from: 1000, want: 1000},
		{name: "but not above the highest", slowness: 1, full: true, from: 1990, want: 2000},
		{name: "calls between quick and slow leave it", slowness: 1.3, full: true, from: 1000, want: 1000},
		{name: "too few calls to tell leave it", slowness: 0, full: true, from: 1000, want: 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimiter(100, 2000)
			l.limit = tt.from
			if got := l.adapt(tt.slowness, tt.full); got != tt.want {
				t.Errorf("limit %v, want %v", got, tt.want)
			}
		})
	}
	l := newLimiter(100, 300)
	for trough, want := range map[float64]float64{0: 300, 49: 300, 50: 200, 200: 200} {
		if got := l.burst(trough); got != want {
			t.Errorf("with a limit of 200 and at least %v in flight: %v, want %v", trough, got, want)
		}
	}
	if l := newLimiter(128, 1); l.limit != 1 || l.lowest != 1 {
		t.Errorf("with a maximum of 1: limit %v, lowest %v", l.limit, l.lowest)
	}
}

// machine answers so many requests a second, and those that are in flight beyond what it
// does in one turn wait.
func machine(inFlight float64) time.Duration {
	const turn, each = 4 * time.Millisecond, 50 * time.Microsecond
	return max(turn, time.Duration(inFlight)*each)
}

func TestTheLimitFollowsWhatTheMachineCanDo(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate(t, Options{Max: 4096, Lowest: 32, Clock: func() time.Time { return now }})
	class, other := g.Class(), g.Class()
	// interval lets demand in for one interval, and has all of it answered in the time
	// that the machine takes.
	interval := func(demand int) (accepted int, took time.Duration) {
		for range demand {
			if g.enter() {
				accepted++
			} else {
				g.refuse()
			}
		}
		took = machine(float64(accepted))
		now = now.Add(every)
		for range accepted {
			g.leave()
			class.Observe(now, took)
			// Calls of another kind, which always take longer, say nothing of overload.
			other.Observe(now, 10*took)
		}
		return accepted, took
	}
	for range 100 {
		if accepted, _ := interval(20); accepted != 20 {
			t.Fatalf("a quiet pod took %d of 20", accepted)
		}
	}
	var accepted int
	var took time.Duration
	for range 200 {
		accepted, took = interval(500)
	}
	// The machine's turn has room for 80; up to half more waits for the next.
	if accepted < 80 || accepted > 160 {
		t.Errorf("%d in flight in the rush, want about what the machine does in a turn", accepted)
	}
	if took > 8*time.Millisecond {
		t.Errorf("accepted calls took %s in the rush, and 4ms before", took)
	}
	for range 20 {
		if accepted, _ := interval(20); accepted != 20 {
			t.Fatalf("the pod took %d of 20 after the rush", accepted)
		}
	}
}

// What is slow for another reason than load must not leave the pod at its lowest limit.
func TestAPodThatIsSlowForGoodIsNotTakenToBeOverloaded(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate(t, Options{Max: 4096, Lowest: 32, Clock: func() time.Time { return now }})
	class := g.Class()
	run := func(intervals int, took time.Duration) {
		for range intervals {
			n := 0
			for range 1000 {
				if g.enter() {
					n++
				} else {
					g.refuse()
				}
			}
			now = now.Add(every)
			for range n {
				g.leave()
				class.Observe(now, took)
			}
		}
	}
	run(100, 5*time.Millisecond)
	run(20, 50*time.Millisecond)
	if limit := g.limit.Load(); limit != 32 {
		t.Errorf("limit %d at first, want the lowest", limit)
	}
	// Half a minute.
	run(600, 50*time.Millisecond)
	run(600, 45*time.Millisecond)
	if limit := g.limit.Load(); limit < 32 {
		t.Errorf("limit %d, want at least the lowest", limit)
	}
	if class.usual < float64(30*time.Millisecond) {
		t.Errorf("usual %s, want what has become usual", time.Duration(class.usual))
	}
}

func TestReturnsSpread(t *testing.T) {
	now := time.Unix(1e9, 0)
	last := func(n int64) int64 { return n - 1 }
	var r returns
	r.setRate(1000)
	if got := r.after(now, half); got != soonest+narrow/2 {
		t.Errorf("the first comes back after %s, want %s", got, soonest+narrow/2)
	}
	for range 9999 {
		r.after(now, half)
	}
	// 10,000 callers and 1,000 accepted a second.
	if got, want := r.after(now, last), soonest+10*time.Second; got < want || got > want+time.Second {
		t.Errorf("the last comes back within %s, want %s", got, want)
	}
	if got, want := r.after(now.Add(5*time.Second), last), soonest+5*time.Second; got < want || got > want+time.Second {
		t.Errorf("half of them later within %s, want %s", got, want)
	}
	for range 100_000 {
		r.after(now, half)
	}
	if got := r.after(now, last); got > soonest+wide {
		t.Errorf("after %s, want %s at most", got, soonest+wide)
	}
}

func TestRefusalsAreHeldBackWhileTheyAreMost(t *testing.T) {
	var h delay
	for range 100 {
		h.adapt(10_000, 1000)
	}
	if got := time.Duration(h.length.Load()); got != longest {
		t.Errorf("delayed for %s, want %s", got, longest)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Whoever went away is not waited for.
	h.wait(ctx, half)
	if delayed := h.now.Load(); delayed != 0 {
		t.Errorf("%d are delayed, want none", delayed)
	}
	for range 200 {
		h.adapt(100, 1000)
	}
	if got := h.length.Load(); got != 0 {
		t.Errorf("delayed for %s, want not at all", time.Duration(got))
	}
}

func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Microsecond), int64(20*time.Second)).Draw(t, "duration"))
		b := bucketOf(d)
		if us := d.Truncate(time.Microsecond); lower(b) > float64(us)+1 || lower(b+1) < float64(us) {
			t.Fatalf("%s is in the bucket from %v to %v", d, time.Duration(lower(b)), time.Duration(lower(b+1)))
		}
	})
}
