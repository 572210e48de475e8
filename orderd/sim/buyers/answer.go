package buyers

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

// notStarted is the reason of a request that came before the sale.
const notStarted = "NOT_STARTED"

// final reasons say for certain that this call did not get an order, or did not change one. Others
// with which a request is refused may come from a pod that does not know the promotion yet.
var final = map[string]bool{
	notStarted: true, "ENDED": true, "PAUSED": true, "ITEM_OFF": true, "SOLD_OUT": true, "LIMIT_PER_BUYER": true,
	"REQUEST_ID_REUSED": true, "ITEMS_APART": true, "ADMISSION_REQUIRED": true, "ADMISSION_INVALID": true,
	"ORDER_NOT_FOUND": true, "ORDER_STATE_CONFLICT": true,
}

// Answer is what a response, or the lack of one, means to whoever sent the request.
type Answer struct {
	// Outcome is Refused only for reasons that are final for this call.
	Outcome audit.Outcome
	// Reason of a refusal, or the code's name if it has none; empty for a success.
	Reason string
	// SKU that a refusal names.
	SKU string
	// Again says that the same request, with its request id, may get another answer later; After is
	// the delay that the answer asks for, 0 if none.
	Again bool
	After time.Duration
}

// Read an RPC's error, which is nil for a success.
func Read(err error) Answer {
	if err == nil {
		return Answer{Outcome: audit.Accepted}
	}
	reason, code := rpcerr.Reason(err), connect.CodeOf(err)
	a := Answer{Reason: cmp.Or(reason, code.String()), SKU: rpcerr.Metadata(err)["sku"]}
	if final[reason] {
		a.Outcome = audit.Refused
	}
	a.After, a.Again = rpcerr.RetryAfter(err)
	switch code {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown, connect.CodeCanceled,
		connect.CodeAborted:
		a.Again = true
	}
	return a
}

// Retry repeats a call as a well-behaved app does: with the same request id, and after the delay that
// the answer asks for. Within has to be set, and so have Shortest and Longest.
type Retry struct {
	// Within is how long one call waits for its answer.
	Within time.Duration
	// Shortest and Longest delay before a call is repeated whose answer asks for none: the delay
	// doubles from one to the other, and varies by half.
	Shortest, Longest time.Duration
	// Opens is when the sale starts: a request that came too early is sent again then, as an app's
	// page does that counts down. Zero: it is refused.
	Opens time.Time
	// Told is called with each answer that is no success, and whether it is the last; it may be nil.
	Told func(a Answer, last bool)
}

// openingJitter is within what time the apps that have counted down send their requests.
const openingJitter = 300 * time.Millisecond

// Do calls until the answer is final or the context ends, and returns the last error.
func (r Retry) Do(ctx context.Context, call func(context.Context) error) error {
	for n := 0; ; n++ {
		one, cancel := context.WithTimeout(ctx, r.Within)
		err := call(one)
		cancel()
		if err == nil {
			return nil
		}
		a := Read(err)
		delay, again := r.next(a, n)
		if r.Told != nil && (ctx.Err() == nil || !again) {
			r.Told(a, !again)
		}
		if !again || !Wait(ctx, delay) {
			return err
		}
	}
}

// next is the delay before the n-th call is repeated, and whether it makes sense.
func (r Retry) next(a Answer, n int) (time.Duration, bool) {
	switch {
	case a.Reason == notStarted && !r.Opens.IsZero():
		return time.Until(r.Opens) + rand.N(openingJitter), true
	case !a.Again:
		return 0, false
	case a.After > 0:
		return min(a.After, r.Longest) + rand.N(r.Shortest), true
	default:
		// Ten doublings are beyond any longest delay that makes sense.
		delay := min(r.Shortest<<min(n, 10), r.Longest)
		return delay/2 + rand.N(delay), true
	}
}

// Wait for some time. It is false if the context ended first.
func Wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
