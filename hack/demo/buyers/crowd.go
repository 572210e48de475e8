package buyers

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/hack/demo/plan"
)

// step is one thing a buyer wants, under one request id.
type step struct {
	requestID string
	items     []*flashv1.FlashOrderItem
	// taps is how often the request is sent at the same moment.
	taps int
	// again sends the request once more after its answer.
	again bool
	// changed sends another body with the request id after its answer.
	changed bool
}

// visit is one buyer who comes at a moment and does steps one after the other.
type visit struct {
	buyerID string
	at      time.Time
	steps   []step
}

// crowd makes everybody who comes to the sale, in the order they come. Shares are of all buyers: 3%
// before the start, 8% who tap twice, 15% who come back for more, 4% who ask for more than the limit,
// 2% who send a request again, 1% who change it, 20% whose order has several items. Most come in the
// first seconds; the last of them after the end.
func crowd(p plan.Plan) []visit {
	r := rand.New(rand.NewPCG(p.Seed, uint64(len(p.Items))))
	visits := make([]visit, 0, p.Buyers)
	for i := range p.Buyers {
		v := visit{buyerID: fmt.Sprintf("buyer-%s-%05d", p.Run, i), at: arrival(p, r)}
		v.steps = append(v.steps, firstStep(p, r, v.buyerID))
		if r.Float64() < 0.15 {
			v.steps = append(v.steps, step{
				requestID: v.buyerID + "-2", items: single(p, r, 1), taps: 1,
			})
		}
		visits = append(visits, v)
	}
	slices.SortStableFunc(visits, func(a, b visit) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.buyerID, b.buyerID)) })
	return visits
}

func arrival(p plan.Plan, r *rand.Rand) time.Time {
	rush := time.Duration(p.RushSeconds) * time.Second
	switch x := r.Float64(); {
	case x < 0.03:
		return p.Start.Add(-seconds(3 * r.Float64()))
	case x < 0.035:
		return p.End.Add(seconds(r.Float64()))
	default:
		// Falls off over the rush; at its end about a twentieth of the first second's rate is left.
		after := -math.Log(1-r.Float64()*0.95) / 3
		return p.Start.Add(time.Duration(after * float64(rush)))
	}
}

func firstStep(p plan.Plan, r *rand.Rand, buyerID string) step {
	s := step{requestID: buyerID + "-1", items: single(p, r, 1+r.Int64N(2)), taps: 1}
	switch x := r.Float64(); {
	case x < 0.08:
		s.taps = 2
	case x < 0.12:
		i := r.IntN(len(p.Items))
		s.items = []*flashv1.FlashOrderItem{{Sku: p.Items[i].SKU, Quantity: p.Items[i].LimitPerBuyer + 1}}
	case x < 0.14:
		s.again = true
	case x < 0.15:
		s.changed = true
	case x < 0.35 && len(p.Items) > 1:
		s.items = cart(p, r)
	}
	return s
}

// single is an order for one item, within its limit.
func single(p plan.Plan, r *rand.Rand, quantity int64) []*flashv1.FlashOrderItem {
	it := p.Items[r.IntN(len(p.Items))]
	if it.LimitPerBuyer > 0 {
		quantity = min(quantity, it.LimitPerBuyer)
	}
	return []*flashv1.FlashOrderItem{{Sku: it.SKU, Quantity: quantity}}
}

// cart is an order for one each of several items.
func cart(p plan.Plan, r *rand.Rand) []*flashv1.FlashOrderItem {
	n := 2 + r.IntN(len(p.Items)-1)
	items := make([]*flashv1.FlashOrderItem, 0, n)
	for _, i := range r.Perm(len(p.Items))[:n] {
		items = append(items, &flashv1.FlashOrderItem{Sku: p.Items[i].SKU, Quantity: 1})
	}
	return items
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
