package coupon

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// envelope divides a pool of money into parts of random size. A part is a function of its number
// and the seed, so that no row a part is needed, nothing has to be divided before the first
// claim, and claims contend for nothing but a counter: the number comes from the template's
// budget, each number once.
//
// The pool is divided like a tree: n parts into two halves, which share the money; each half again,
// down to one part. A share is exact, what one half gets the other does not, and each half gets at
// least one minor unit a part. So by induction all parts together are exactly the pool, none is
// below one minor unit, and whichever parts were claimed, the others are exactly what is left of
// the pool. The "double average" rule would promise the same only part after part: every claim
// would have to wait for the one before it, because the next part depends on what is left.
type envelope struct {
	seed        []byte
	pool, parts int64
}

// part is the amount of the part with the number i, from 0, in the minor unit.
func (e *envelope) part(i int64) int64 {
	first, n := int64(0), e.parts
	// Each part has its one unit; the rest is shared.
	rest := e.pool - e.parts
	for n > 1 {
		half := n / 2
		share := e.share(first, n, half, rest)
		if i < first+half {
			n, rest = half, share
		} else {
			first, n, rest = first+half, n-half, rest-share
		}
	}
	return 1 + rest
}

// share is what the first half of the n parts from number first on gets of the rest: its mean
// share, and at random up to so much more or less that of two parts each gets anything between
// nothing and all, as by the double average, and that many parts spread as if each had been drawn
// so. All in integers, so that a part is the same on every machine.
func (e *envelope) share(first, n, half, rest int64) int64 {
	mean := rest * half / n
	width := min(rest*int64(math.Sqrt(float64(n/2)))/n, mean, rest-mean)
	return mean - width + int64(e.random(first, n)%uint64(2*width+1))
}

// random is the number that belongs to the n parts from number first on; nobody can tell
// it without the seed.
func (e *envelope) random(first, n int64) uint64 {
	var name [16]byte
	binary.BigEndian.PutUint64(name[:8], uint64(first))
	binary.BigEndian.PutUint64(name[8:], uint64(n))
	mac := hmac.New(sha256.New, e.seed)
	// A hash's Write never fails.
	_, _ = mac.Write(name[:])
	return binary.BigEndian.Uint64(mac.Sum(nil))
}
