package buyers

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

// Crowd is who comes to a sale.
type Crowd struct {
	Sale Sale
	// Name is part of every buyer's and request's id.
	Name string
	// Buyers who come.
	Buyers int
	// Rush after the start is the time in which all but a few of them come.
	Rush time.Duration
	// Seed of everything that is random: the same one makes the same crowd.
	Seed uint64
}

// Step is one thing a buyer wants, under one request id.
type Step struct {
	Order Order
	// Taps is how often the request is sent at the same moment.
	Taps int
	// Repeated sends the request once more after its answer.
	Repeated bool
	// Changed sends another body with the request id after its answer.
	Changed bool
}

// Visit is one buyer who comes at a moment and does steps one after the other.
type Visit struct {
	Buyer string
	At    time.Time
	Steps []Step
}

// Visits are everybody's, in the order they come. Shares are of all buyers: 3% before the start, 8%
// who tap twice, 15% who come back for more, 4% who ask for more than the limit, 2% who send a
// request again, 1% who change it, 20% whose order has several items. Most come in the first seconds;
// the last of them after the end.
func (c Crowd) Visits() []Visit {
	r := rand.New(rand.NewPCG(c.Seed, uint64(len(c.Sale.Offers))))
	visits := make([]Visit, 0, c.Buyers)
	for i := range c.Buyers {
		v := Visit{Buyer: fmt.Sprintf("buyer-%s-%05d", c.Name, i), At: c.arrival(r)}
		v.Steps = append(v.Steps, c.first(r, v.Buyer))
		if r.Float64() < 0.15 {
			v.Steps = append(v.Steps, Step{
				Order: Order{Buyer: v.Buyer, Request: v.Buyer + "-2", Items: c.single(r, 1)}, Taps: 1,
			})
		}
		visits = append(visits, v)
	}
	slices.SortStableFunc(visits, func(a, b Visit) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Buyer, b.Buyer))
	})
	return visits
}

func (c Crowd) arrival(r *rand.Rand) time.Time {
	switch x := r.Float64(); {
	case x < 0.03:
		return c.Sale.Start.Add(-seconds(3 * r.Float64()))
	case x < 0.035:
		return c.Sale.End.Add(seconds(r.Float64()))
	default:
		// Falls off over the rush; at its end about a twentieth of the first second's rate is left.
		after := -math.Log(1-r.Float64()*0.95) / 3
		return c.Sale.Start.Add(time.Duration(after * float64(c.Rush)))
	}
}

// first is what a buyer comes for.
func (c Crowd) first(r *rand.Rand, buyer string) Step {
	s := Step{Order: Order{Buyer: buyer, Request: buyer + "-1", Items: c.single(r, 1+r.Int64N(2))}, Taps: 1}
	switch x := r.Float64(); {
	case x < 0.08:
		s.Taps = 2
	case x < 0.12:
		o := c.Sale.Offers[r.IntN(len(c.Sale.Offers))]
		s.Order.Items = []audit.Item{{SKU: o.SKU, Quantity: o.Limit + 1}}
	case x < 0.14:
		s.Repeated = true
	case x < 0.15:
		s.Changed = true
	case x < 0.35 && len(c.Sale.Offers) > 1:
		s.Order.Items = c.several(r)
	}
	return s
}

// single is one item, within its limit.
func (c Crowd) single(r *rand.Rand, quantity int64) []audit.Item {
	o := c.Sale.Offers[r.IntN(len(c.Sale.Offers))]
	if o.Limit > 0 {
		quantity = min(quantity, o.Limit)
	}
	return []audit.Item{{SKU: o.SKU, Quantity: quantity}}
}

// several are one each of several items.
func (c Crowd) several(r *rand.Rand) []audit.Item {
	n := 2 + r.IntN(len(c.Sale.Offers)-1)
	items := make([]audit.Item, 0, n)
	for _, i := range r.Perm(len(c.Sale.Offers))[:n] {
		items = append(items, audit.Item{SKU: c.Sale.Offers[i].SKU, Quantity: 1})
	}
	return items
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
