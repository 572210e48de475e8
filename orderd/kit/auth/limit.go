package auth

import (
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// maxCallers is how many callers are remembered; one that is forgotten starts with a full bucket
// and nothing in flight.
const maxCallers = 1 << 17

// inFlightRetry is when a caller may come back who has too much in flight: a request takes less.
const inFlightRetry = time.Second

// Limits of one caller at one pod: PerSecond, and Burst at once, and InFlight requests that are
// being worked on. PerSecond 0 is no limit of the first two, InFlight 0 none of the last.
type Limits struct {
	PerSecond, Burst, InFlight int
}

// limiter bounds what each caller asks for.
type limiter struct {
	now     func() time.Time
	callers Limits
	// services act for many buyers, or for a whole system, and have limits of their own.
	services Limits
	known    *lru.Cache[callerKind, *asking]
}

// callerKind keeps a service and a buyer of the same subject apart.
type callerKind struct {
	subject string
	service bool
}

// asking is what a caller asks for: a token bucket, and what is in flight.
type asking struct {
	bucket   *rate.Limiter
	inFlight atomic.Int64
}

func newLimiter(callers, services Limits, now func() time.Time) (*limiter, error) {
	known, err := lru.New[callerKind, *asking](maxCallers)
	if err != nil {
		return nil, err
	}
	return &limiter{now: now, callers: callers, services: services, known: known}, nil
}

// take refuses a caller who asks too much, with the time until a request is due. The request of one
// who does not is in flight until it was answered.
func (l *limiter) take(c Caller) (*asking, error) {
	kind := callerKind{subject: c.Subject, service: c.Acting&ServiceRoles != 0}
	limits := l.callers
	if kind.service {
		limits = l.services
	}
	if limits.PerSecond <= 0 && limits.InFlight <= 0 {
		return nil, nil
	}
	caller := l.caller(kind, limits)
	if limits.PerSecond > 0 {
		now := l.now()
		reservation := caller.bucket.ReserveN(now, 1)
		if delay := reservation.DelayFrom(now); delay > 0 {
			reservation.CancelAt(now)
			return nil, rpcerr.Retry(connect.CodeResourceExhausted, rpcerr.ReasonRateLimited,
				"too many requests of this caller", delay)
		}
	}
	if n := caller.inFlight.Add(1); limits.InFlight > 0 && n > int64(limits.InFlight) {
		caller.answered()
		return nil, rpcerr.Retry(connect.CodeResourceExhausted, rpcerr.ReasonRateLimited,
			"too many requests of this caller are under way", inFlightRetry, "limit", "inFlight")
	}
	return caller, nil
}

// answered ends a request. Nil is a caller who may ask for anything.
func (a *asking) answered() {
	if a != nil {
		a.inFlight.Add(-1)
	}
}

func (l *limiter) caller(kind callerKind, limits Limits) *asking {
	if known, ok := l.known.Get(kind); ok {
		return known
	}
	caller := &asking{bucket: rate.NewLimiter(rate.Limit(limits.PerSecond), max(limits.Burst, 1))}
	// Another request of the caller's may have made it meanwhile.
	if previous, found, _ := l.known.PeekOrAdd(kind, caller); found {
		return previous
	}
	return caller
}
