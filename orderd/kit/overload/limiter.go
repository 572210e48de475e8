package overload

import "math"

const (
	// begin is the limit of a pod that does not know yet how long its requests take, as a
	// multiple of the lowest one.
	begin = 2
	// tolerated is how much longer than usual requests may take before the limit falls, and roomy
	// up to what it may rise.
	tolerated = 1.5
	roomy     = 1.2
	// bursting is how much of the limit may be in flight in a burst.
	bursting = 2
	// drained is the share of the limit below which the requests in flight fall every now and then
	// unless there is more to do than can be done.
	drained = 0.25
	// rising and falling bound a step of the limit.
	rising  = 1.1
	falling = 0.5
)

// limiter finds how many requests can be in flight: more while that does not make them slow,
// fewer as soon as it does. It rises only if it is reached, so that it stays what was
// learned in the last rush.
type limiter struct {
	limit         float64
	lowest, upper float64
}

func newLimiter(lowest, upper int) limiter {
	u := float64(max(upper, 1))
	l := min(float64(max(lowest, 1)), u)
	return limiter{limit: min(begin*l, u), lowest: l, upper: u}
}

func (l *limiter) atFloor() bool { return l.limit <= l.lowest }

// adapt takes how slow requests are, as a multiple of what is usual for them (0: too few to tell),
// and whether the limit was reached, and returns the limit from now on.
func (l *limiter) adapt(slowness float64, full bool) float64 {
	switch {
	case slowness > tolerated:
		l.limit *= max(tolerated/slowness, falling)
	case slowness > 0 && slowness <= roomy && full:
		l.limit = math.Ceil(l.limit * min(roomy/slowness, rising))
	}
	l.limit = min(max(l.limit, l.lowest), l.upper)
	return l.limit
}

// burst is what may be in flight, with the least that was in the last interval. As in
// CoDel, a crowd that soon goes is let in (a pod that stood still for a moment meets one),
// and one that stays is not.
func (l *limiter) burst(trough float64) float64 {
	if trough < drained*l.limit {
		return min(bursting*l.limit, l.upper)
	}
	return l.limit
}
