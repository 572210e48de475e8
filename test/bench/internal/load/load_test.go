package load

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestTakeSkipsWhatWasDueWhileNobodyWasFree(t *testing.T) {
	p := newPace(1000, time.Now())
	for _, test := range []struct {
		since        time.Duration
		want, unsent int64
	}{
		{0, 0, 0},
		{0, 1, 0},                      // Taken before it is due.
		{500 * time.Microsecond, 2, 0}, // Taken already until 1.
		{10 * time.Millisecond, 10, 7}, // 3 to 9 were due before.
		{10 * time.Millisecond, 11, 7},
		{12*time.Millisecond + 1, 13, 8},
	} {
		if got := p.take(test.since); got != test.want || p.unsent.Load() != test.unsent {
			t.Errorf("at %s: request %d with %d unsent, want %d with %d", test.since, got, p.unsent.Load(), test.want,
				test.unsent)
		}
	}
}

func TestNextIsWhenItWasDue(t *testing.T) {
	began := time.Now().Add(-time.Second)
	p := newPace(10, began)
	p.taken.Store(11)
	if due := p.next(began.Add(time.Minute)); !due.Equal(began.Add(1100 * time.Millisecond)) {
		t.Errorf("due %s after the beginning", due.Sub(began))
	}
	if time.Since(began) < 1100*time.Millisecond {
		t.Error("it did not wait")
	}
}

func histogram(millis ...int64) *hdrhistogram.Histogram {
	h := hdrhistogram.New(1, slowest.Microseconds(), precision)
	for _, ms := range millis {
		_ = h.RecordValue(ms * 1000)
	}
	return h
}

func TestSum(t *testing.T) {
	fails := errors.New("lost")
	many := make([]int64, 98)
	for i := range many {
		many[i] = 2
	}
	r, err := sum([]share{{times: histogram(many...), refused: 50}, {times: histogram(40, 40), refused: 25}},
		10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	within := func(got, want time.Duration) bool { return (got - want).Abs() <= want/500 }
	if r.Accepted != 10 || r.Refused != 7.5 || !within(r.P50, 2*time.Millisecond) || !within(r.P99, 40*time.Millisecond) {
		t.Errorf("%+v", r)
	}
	if _, err := sum([]share{{times: histogram(many...), failed: 1, err: fails}}, time.Second); !errors.Is(err, fails) {
		t.Errorf("one error in a hundred: %v", err)
	}
	if _, err := sum([]share{{times: histogram(), err: fails}}, time.Second); !errors.Is(err, fails) {
		t.Errorf("nothing but warm-up errors: %v", err)
	}
	if _, err := sum([]share{{times: histogram()}}, time.Second); !errors.Is(err, errNoAnswers) {
		t.Errorf("nothing: %v", err)
	}
}

func TestRunCountsAcceptedAndRefusedApart(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		_, _ = w.Write([]byte("x"))
	}))
	defer server.Close()
	o := Options{
		Connections: 4, Warm: 20 * time.Millisecond, Phase: 2 * time.Second, Rate: 400, URLs: []string{server.URL},
		Procedure: "/p.S/M",
	}
	r, err := Run(t.Context(), o, func(int, int) (proto.Message, Check) {
		return wrapperspb.String("x"), func(status int, _ []byte) (bool, error) { return status == http.StatusOK, nil }
	})
	if err != nil {
		t.Fatal(err)
	}
	all := r.Accepted + r.Refused
	// Of every four one; a few are still on their way when it ends.
	if (r.Refused-all/4)*o.Phase.Seconds() > 4 || (all/4-r.Refused)*o.Phase.Seconds() > 4 {
		t.Errorf("%.0f accepted and %.0f refused a second", r.Accepted, r.Refused)
	}
	if sum := all + r.Unsent; sum < 300 || sum > 500 {
		t.Errorf("%.0f requests a second were due, want about 400", sum)
	}
}
