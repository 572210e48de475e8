package lease

import "time"

// Portion is what one of several workers may do of what was promised for all of them together: an equal
// part, of which none is known to anybody but by counting. What holds, as long as each worker is in the
// table for longer than a count is good for: at no time do the parts of all workers make more than one.
//
//   - A count is good for a while from its beginning. A worker that cannot count has no part.
//   - A worker that begins has no part until every count without it has become bad, but where it is the
//     only one: who comes after it counts it.
//   - A worker that could not count for so long begins anew.
//
// The zero value has no part.
type Portion struct {
	// Valid is how long a count is good.
	Valid time.Duration

	workers int
	// good is until when the last count is, and from since when the worker has a part.
	good, from time.Time
}

// Counted notes how many live workers there are, this one among them. The worker began at began to write
// itself into the table, had done so at written, and counted after that.
func (p *Portion) Counted(began, written time.Time, workers int) {
	if !began.Before(p.good) {
		p.from = written.Add(p.Valid)
		if workers <= 1 {
			p.from = began
		}
	}
	p.workers, p.good = workers, began.Add(p.Valid)
}

// Of is the part at a time: 0 to 1.
func (p *Portion) Of(now time.Time) float64 {
	if p.workers < 1 || now.Before(p.from) || !now.Before(p.good) {
		return 0
	}
	return 1 / float64(p.workers)
}

// Leave takes the part away, before the worker leaves the table.
func (p *Portion) Leave() { p.workers, p.good = 0, time.Time{} }
