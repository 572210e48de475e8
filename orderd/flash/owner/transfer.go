package owner

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const (
	// transferTimeout bounds one question to another shard, during which the asker appends nothing: a
	// paused pod must not hold up its neighbours for long.
	transferTimeout = time.Second
	// searchDelay is the wait before busy or unreachable shards are asked again, before jitter.
	searchDelay = 5 * time.Millisecond
	// searchDelayMax is what it grows to.
	searchDelayMax = 200 * time.Millisecond
	// searchPasses is how often they are asked before the callers are told to come back later.
	searchPasses = 16
)

// soldOut is what a search that found nothing is remembered as: at a moment, no more than left units of
// the item could be had.
type soldOut struct {
	left int64
	at   time.Time
}

// search asks the other shards of an item in turn. "Sold out" needs two rounds in which each of them
// was empty and none had stock come in between: then there was a moment between the rounds, the same for
// all of them, at which all were empty.
type search struct {
	sku string
	// own is the inflows of the asker's shard when the search began, and had what was in it: at the moment
	// that the search proves, the shard had no more.
	own uint64
	had int64
	// seen is the inflows that each shard had when it was last found empty.
	seen map[int32]uint64
	// second round; left are the partitions still to ask in this pass, again those to ask in the next.
	// It began when the search turned.
	second      bool
	turned      time.Time
	left, again []int32
	passes      int
	// due once the timer of a pass that met busy shards has fired.
	due   bool
	timer *time.Timer
}

// retry fires when busy shards may be asked again.
func (s *search) retry() <-chan time.Time {
	if s == nil || s.timer == nil {
		return nil
	}
	return s.timer.C
}

// knownSoldOut is the refusal of a request for more of an item than a search left, recently or since the
// request came; nil if none did.
func (o *Owner) knownSoldOut(current *promotion.Promotion, p placement, missing []partition.Quantity, now time.Time) error {
	for _, m := range missing {
		left, ok := o.leftOf(m.SKU, p.call.came, now)
		if !ok {
			continue
		}
		for _, item := range p.request.GetItems() {
			if item.GetSku() != m.SKU || item.GetQuantity() <= left {
				continue
			}
			if i, ok := current.Index(m.SKU); ok && left == 0 {
				return current.SoldOut(i)
			}
			return refusal.SoldOut(m.SKU, left)
		}
	}
	return nil
}

// leftOf is how much of an item could be had at most, by the owner's own search or that of any owner.
func (o *Owner) leftOf(sku string, came, now time.Time) (left int64, ok bool) {
	if known, found := o.soldOut[sku]; found && (!came.After(known.at) || now.Sub(known.at) < soldOutTTL) {
		return known.left, true
	}
	if o.SoldOut == nil {
		return 0, false
	}
	return o.SoldOut(sku)
}

// seek looks for stock for the parked reservations: one pass over the shards that are still to ask.
func (o *Owner) seek(ctx context.Context) error {
	if o.search != nil && !o.search.due {
		return nil
	}
	sku, need := o.shortage()
	if sku == "" {
		o.search = nil
		return nil
	}
	if o.search == nil || o.search.sku != sku {
		o.search = o.newSearch(sku)
	}
	s := o.search
	o.asking.Store(true)
	defer o.asking.Store(false)
	for {
		for len(s.left) > 0 {
			from := s.left[0]
			s.left = s.left[1:]
			if more, err := o.ask(ctx, s, from, need); err != nil || !more {
				return err
			}
		}
		switch {
		case len(s.again) > 0:
			o.askAgain(s)
			return nil
		case !s.second:
			s.second, s.turned, s.left = true, o.Clock(), o.others(s.sku)
		default:
			o.nothingLeft(ctx, s)
			return nil
		}
	}
}

// shortage is the item that the first parked reservation lacks, and how much all of them together lack.
func (o *Owner) shortage() (sku string, need int64) {
	waiting := o.parked[:0]
	current := o.Sale()
	var request partition.Request
	for _, p := range o.parked {
		if p.call.ctx.Err() != nil {
			o.refusePlacement(p, o.moving())
			continue
		}
		waiting = append(waiting, p)
		if want(&request, current, p.request) != nil {
			continue
		}
		for _, m := range o.state.Reserve(request).Missing {
			if sku == "" {
				sku = m.SKU
			}
			if m.SKU == sku {
				need += m.Quantity
			}
		}
	}
	clear(o.parked[len(waiting):])
	o.parked = waiting
	if sku == "" && len(waiting) > 0 {
		// What they lacked has come, or the sale changed: they are decided on again.
		o.redecide = true
	}
	return sku, need
}

func (o *Owner) newSearch(sku string) *search {
	shard := o.state.Shard(sku)
	return &search{sku: sku, own: shard.Inflows, had: shard.Available, seen: map[int32]uint64{}, left: o.others(sku), due: true}
}

// others are the stream's other partitions: the fullest first, as far as is known, then those of which nothing is known, then
// the empty ones; among equals beginning after the own one, so that askers spread.
func (o *Owner) others(sku string) []int32 {
	current := o.Sale()
	per := current.PerStream()
	first := current.StreamOf(o.Partition) * per
	others := make([]int32, 0, per)
	for i := int32(1); i < per; i++ {
		others = append(others, first+(o.Partition-first+i)%per)
	}
	if o.Level == nil {
		return others
	}
	known := make(map[int32]int64, len(others))
	for _, n := range others {
		// Twice the level, and 1 for an unknown one.
		if known[n] = 2 * o.Level(n, sku); known[n] < 0 {
			known[n] = 1
		}
	}
	slices.SortStableFunc(others, func(a, b int32) int { return cmp.Compare(known[b], known[a]) })
	return others
}

// ask puts one question. more says whether the pass may go on; an error, that the partition must be
// given up.
func (o *Owner) ask(ctx context.Context, s *search, from int32, need int64) (more bool, err error) {
	asked, cancel := context.WithTimeout(ctx, transferTimeout)
	response, err := o.Peers.Transfer(asked, &flashv1.TransferRequest{
		PromotionUid: o.Sale().GetUid(), FromPartition: from, ToPartition: o.Partition,
		Sku: s.sku, Need: need, ToSequence: o.state.Sequence(),
	})
	cancel()
	switch reason := rpcerr.Reason(err); {
	case err == nil:
	case reason == refusal.ReasonNotOwner || reason == refusal.ReasonOverloaded:
		s.again = append(s.again, from)
		return true, nil
	default:
		// The batch may still land in this partition's log: nothing may be decided before that is settled.
		o.Metrics.transfers.WithLabelValues("unknown").Inc()
		s.again = append(s.again, from)
		o.askAgain(s)
		return false, o.recover(ctx, err)
	}
	o.Metrics.transfers.WithLabelValues(outcomeLabel(response.GetOutcome())).Inc()
	switch response.GetOutcome() {
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_MOVED:
		record := transferredIn(from, s.sku, response.GetQuantity())
		if err := o.state.Fold(response.GetToSequence(), record); err != nil {
			return false, err
		}
		o.redecide, o.search = true, nil
		return false, nil
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_EMPTY:
		if first, known := s.seen[from]; s.second && known && first != response.GetInflows() {
			// Stock came and went between the rounds, and may be in a shard that was asked before.
			passes := s.passes
			*s = *o.newSearch(s.sku)
			s.passes = passes
			o.askAgain(s)
			return false, nil
		}
		s.seen[from] = response.GetInflows()
		return true, nil
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_STALE:
		s.again = append(s.again, from)
		o.askAgain(s)
		return false, o.recover(ctx, plog.ErrRefused)
	default:
		s.again = append(s.again, from)
		return true, nil
	}
}

// askAgain ends a pass that met busy shards. Their owners may be waiting for this one.
func (o *Owner) askAgain(s *search) {
	s.passes++
	s.due = false
	s.left, s.again = append(s.left, s.again...), nil
	if s.passes > searchPasses {
		o.refuseParked(s.sku)
		o.search = nil
		return
	}
	delay := min(searchDelay<<min(s.passes, 10), searchDelayMax)
	s.timer = time.NewTimer(o.Jitter(delay))
}

// nothingLeft ends a search that found every other shard empty.
func (o *Owner) nothingLeft(ctx context.Context, s *search) {
	o.search = nil
	if o.state.Shard(s.sku).Inflows != s.own {
		o.redecide = true
		return
	}
	if !o.current(ctx, s.turned) {
		o.refuseParked(s.sku)
		return
	}
	// Those who wait are decided on again, now that this is known.
	o.soldOut[s.sku] = soldOut{left: s.had, at: s.turned}
	o.redecide = true
}

// refuseParked sends away those who wait for stock of the item.
func (o *Owner) refuseParked(sku string) {
	rest := o.parked[:0]
	for _, p := range o.parked {
		if slices.ContainsFunc(p.request.GetItems(), func(item *flashv1.FlashOrderItem) bool { return item.GetSku() == sku }) {
			o.refusePlacement(p, o.moving())
		} else {
			rest = append(rest, p)
		}
	}
	clear(o.parked[len(rest):])
	o.parked = rest
}

// donate gives stock to the shards that asked for it.
func (o *Owner) donate(ctx context.Context) error {
	for len(o.donations) > 0 {
		c := o.donations[0]
		o.donations = o.donations[1:]
		if c.ctx.Err() != nil {
			continue
		}
		if err := o.donateTo(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// donateTo answers the call, also when it returns an error.
func (o *Owner) donateTo(ctx context.Context, c *call) error {
	sku, to := c.transfer.GetSku(), c.transfer.GetToPartition()
	quantity := o.state.Donation(sku, c.transfer.GetNeed())
	if o.state.Closed() && o.state.Shard(sku).Available > 0 {
		// The sale is being closed: the item is not sold out, and cannot be had here.
		c.answer(reply{moved: &flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY}})
		return nil
	}
	if quantity == 0 {
		if !o.current(ctx, c.came) {
			c.refuse(refusal.NotOwner())
			return nil
		}
		c.answer(reply{moved: &flashv1.TransferResponse{
			Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_EMPTY, Inflows: o.state.Shard(sku).Inflows,
		}})
		return nil
	}
	if o.search != nil && o.search.sku == sku && o.Partition < to {
		// Two shards that gather for orders larger than what either has would take from each other for ever:
		// the lower one keeps what it has until its own search is over.
		c.answer(reply{moved: &flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY}})
		return nil
	}
	out := &flashv1.Record{Kind: &flashv1.Record_TransferredOut{TransferredOut: &flashv1.TransferredOut{ToPartition: to, Sku: sku, Quantity: quantity}}}
	bounded, cancel := context.WithTimeout(ctx, appendTimeout)
	last, err := o.Log.AppendBatch(bounded, []plog.Entry{
		{Partition: o.Partition, Expected: o.state.Sequence(), Record: out},
		{Partition: to, Expected: c.transfer.GetToSequence(), Record: transferredIn(o.Partition, sku, quantity)},
	})
	cancel()
	if err != nil {
		if errors.Is(err, plog.ErrRefused) {
			c.answer(reply{moved: &flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_STALE}})
		} else {
			c.refuse(o.moving())
		}
		return o.recover(ctx, err)
	}
	if err := o.state.Fold(last-1, out); err != nil {
		c.refuse(o.moving())
		return err
	}
	c.answer(reply{moved: &flashv1.TransferResponse{
		Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_MOVED, Quantity: quantity, ToSequence: last, Inflows: o.state.Shard(sku).Inflows,
	}})
	return nil
}

func transferredIn(from int32, sku string, quantity int64) *flashv1.Record {
	return &flashv1.Record{Kind: &flashv1.Record_TransferredIn{TransferredIn: &flashv1.TransferredIn{FromPartition: from, Sku: sku, Quantity: quantity}}}
}

func outcomeLabel(outcome flashv1.TransferOutcome) string {
	switch outcome {
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_MOVED:
		return "moved"
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_EMPTY:
		return "empty"
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY:
		return "busy"
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_STALE:
		return "stale"
	default:
		return "unknown"
	}
}
