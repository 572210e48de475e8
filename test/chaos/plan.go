package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

const (
	// ahead is how long before the start buyers begin.
	ahead = 800 * time.Millisecond
	// atOnce is how many buyers there are at each moment.
	atOnce = 20
	// early is how long before the first buyers a pod starts again whose clock is off: it has
	// its partitions by then.
	early = 3 * time.Second
	// election is what NATS may take to have a leader again (4 to 9 s without the one before):
	// such sales are longer.
	election = 5 * time.Second
	// extension of a sale that is extended.
	extension = 1500 * time.Millisecond
)

// plan is what a seed does.
type plan struct {
	seed               uint64
	streams, per       int
	offers             []offer
	open               time.Duration
	paymentTimeout     time.Duration
	admission, extends bool
	// early is set if a pod's clock is off before the start.
	early  bool
	levers []lever
	faults []fault
}

type offer struct {
	audit.Offer
	stream int32
	// raised is the limit after it was raised; 0: it is not.
	raised int64
}

// lever is a change while the sale is live.
type lever struct {
	at   time.Duration
	name string
	item int
	// quantity of a top-up.
	quantity int64
}

// random source of one purpose of a seed.
func random(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }

// What random sources are for.
const (
	forPlan uint64 = iota
	forFaults
	forShop
	forBuyers
)

func newPlan(seed uint64) *plan {
	r := random(seed, forPlan)
	p := &plan{
		seed:           seed,
		streams:        1 + r.IntN(4)/3,
		per:            1 + r.IntN(4),
		open:           3500*time.Millisecond + time.Duration(r.IntN(1200))*time.Millisecond,
		paymentTimeout: time.Duration(1000+r.IntN(1500)) * time.Millisecond,
		admission:      r.IntN(6) == 0,
		extends:        r.IntN(5) == 0,
	}
	if p.streams == 1 {
		p.per += r.IntN(3)
	}
	for i := range 2 + r.IntN(3) {
		o := offer{stream: int32(i % p.streams)}
		o.SKU = fmt.Sprintf("s%d-%c-%x", seed, 'a'+i, r.Uint32())
		o.Price = 100 + r.Int64N(9900)
		// Some is gone within the first moment; some is there for as long as anything fails.
		o.Stock = []int64{1, 3, 7, 40, 200, 1000, 1000}[r.IntN(7)]
		o.Limit = []int64{0, 0, 1, 2, 3}[r.IntN(5)]
		if o.Limit > 0 && r.IntN(6) == 0 {
			o.raised = o.Limit + 1
		}
		o.Before = o.Stock + 50 + r.Int64N(100)
		p.offers = append(p.offers, o)
	}
	p.faults = newFaults(random(seed, forFaults), p)
	p.pull(r)
	return p
}

// pull levers in about half of the seeds.
func (p *plan) pull(r *rand.Rand) {
	at := func() time.Duration { return time.Duration(r.Int64N(int64(p.open - 800*time.Millisecond))) }
	if r.IntN(4) == 0 {
		for range 1 + r.IntN(2) {
			p.levers = append(p.levers, lever{at: at(), name: "top-up", item: r.IntN(len(p.offers)), quantity: 1 + r.Int64N(20)})
		}
	}
	if r.IntN(6) == 0 {
		t := at()
		p.levers = append(p.levers, lever{at: t, name: "pause"}, lever{at: t + 400*time.Millisecond, name: "resume"})
	}
	if r.IntN(6) == 0 {
		t, i := at(), r.IntN(len(p.offers))
		p.levers = append(p.levers, lever{at: t, name: "off", item: i},
			lever{at: t + 500*time.Millisecond, name: "on", item: i})
	}
	if p.extends {
		p.levers = append(p.levers, lever{at: p.open - 700*time.Millisecond, name: "extend"})
	}
	for i, o := range p.offers {
		if o.raised > 0 {
			p.levers = append(p.levers, lever{at: at(), name: "raise", item: i})
		}
	}
	slices.SortStableFunc(p.levers, func(a, b lever) int { return int(a.at - b.at) })
}

func (p *plan) String() string {
	s := fmt.Sprintf("%d streams of %d, %s", p.streams, p.per, p.open.Round(100*time.Millisecond))
	for _, o := range p.offers {
		s += fmt.Sprintf(", %d", o.Stock)
		if o.Limit > 0 {
			s += fmt.Sprintf("/%d", o.Limit)
		}
	}
	if p.admission {
		s += ", admission"
	}
	for _, l := range p.levers {
		s += ", " + l.name
	}
	return s
}
