package route

import (
	"github.com/orderd-dev/orderd/orderd/flash/members"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

// Placed is a version of a promotion and who owns its partitions, as one pod knows it. Never changed.
type Placed struct {
	*promotion.Promotion
	// Owners by partition; the zero member while none is known.
	Owners []members.Member
	// Routes by partition: what a gateway comes to the owner by. Empty while no members are known.
	Routes []string
	// By are the members that it was placed on.
	By *placement.Members
}

// NewPlaced places a promotion on pods. By are the pods, in the same order.
func NewPlaced(promo *promotion.Promotion, pods []members.Member, by *placement.Members) *Placed {
	p := &Placed{Promotion: promo, Owners: make([]members.Member, promo.GetPartitions()), By: by}
	if len(pods) == 0 {
		return p
	}
	placed := by.Place(promo.GetName(), promo.GetPartitions())
	for n, i := range placed.Owners {
		p.Owners[n] = pods[i]
	}
	p.Routes = placed.Routes
	return p
}

// OwnedBy says whether a pod owns a partition; no pod does if the promotion has none with the number.
func (p *Placed) OwnedBy(partition int32, pod string) bool {
	target, ok := p.Target(partition)
	return ok && target.OwnedBy(pod)
}

// Target is a partition of the promotion, and false if it has none with the number.
func (p *Placed) Target(partition int32) (Target, bool) {
	return Target{p, partition}, partition >= 0 && int(partition) < len(p.Owners)
}

// BuyersPartitions are those that may know an order of the buyer: one of each of the
// promotion's streams.
func (p *Placed) BuyersPartitions(buyer string) []Target {
	targets := make([]Target, max(1, len(p.GetStreams())))
	for k := range targets {
		targets[k] = Target{p, p.Partition(buyer, int32(k))}
	}
	return targets
}

// Target is a partition of a promotion: where a request or a question is to go.
type Target struct {
	Placed    *Placed
	Partition int32
}

// Owner is the pod that owns the partition; the zero member if none is known.
func (t Target) Owner() members.Member { return t.Placed.Owners[t.Partition] }

// OwnedBy says whether a pod owns the partition.
func (t Target) OwnedBy(pod string) bool { return t.Owner().Name == pod }
