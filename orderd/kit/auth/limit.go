package auth

import (
	"time"

	"connectrpc.com/connect/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// maxCallers is how many callers' buckets are kept; one that is forgotten starts full again.
const maxCallers = 1 << 17

// Limits of one caller at one pod: PerSecond, and Burst at once. PerSecond 0 is no limit.
type Limits struct {
	PerSecond, Burst int
}

// rateLimiter has a token bucket a caller.
type rateLimiter struct {
	now     func() time.Time
	callers Limits
	// services act for many buyers and have limits of their own.
	services Limits
	buckets  *lru.Cache[bucketKey, *rate.Limiter]
}

// bucketKey keeps a service and a buyer of the same subject apart.
type bucketKey struct {
	subject string
	service bool
}

func newRateLimiter(callers, services Limits, now func() time.Time) (*rateLimiter, error) {
	buckets, err := lru.New[bucketKey, *rate.Limiter](maxCallers)
	if err != nil {
		return nil, err
	}
	return &rateLimiter{now: now, callers: callers, services: services, buckets: buckets}, nil
}

// take refuses a caller who asks too much, with the time until a request is due.
func (l *rateLimiter) take(c Caller) error {
	key := bucketKey{subject: c.Subject, service: c.Acting.Has(accessv1.Role_ROLE_SERVICE)}
	limits := l.callers
	if key.service {
		limits = l.services
	}
	if limits.PerSecond <= 0 {
		return nil
	}
	bucket, ok := l.buckets.Get(key)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(limits.PerSecond), max(limits.Burst, 1))
		// Another request of the caller's may have made it meanwhile.
		if previous, found, _ := l.buckets.PeekOrAdd(key, bucket); found {
			bucket = previous
		}
	}
	now := l.now()
	reservation := bucket.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	return rpcerr.Retry(connect.CodeResourceExhausted, rpcerr.ReasonRateLimited, "too many requests of this caller", delay)
}
