package owner

import (
	"context"
	"slices"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner/search"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// transferTimeout bounds one question to another shard, during which the asker appends nothing: a
// paused pod must not keep its neighbours waiting for long.
const transferTimeout = time.Second

// seek looks for stock for the parked requests: it does what the search says until that has to wait
// or has ended.
func (o *Owner) seek(ctx context.Context) error {
	if o.searchTimer != nil {
		return nil
	}
	sku, need := o.shortage()
	if sku == "" {
		o.search = nil
		return nil
	}
	if o.search == nil || o.search.SKU() != sku {
		o.search = search.New(sku, func() []int32 { return o.askOrder(sku) }, o.jitter)
	}
	o.asking.Store(true)
	defer o.asking.Store(false)
	for {
		now, shard := o.clock(), o.state.Shard(sku)
		step := o.search.Next(now, search.Shard{Inflows: shard.Inflows, Available: shard.Available}, need)
		switch step := step.(type) {
		case search.Ask:
			if goOn, err := o.ask(ctx, sku, step); err != nil || !goOn {
				return err
			}
		case search.Wait:
			o.searchTimer = time.NewTimer(step.Until.Sub(now))
			return nil
		default:
			o.endSearch(ctx, sku, step)
			return nil
		}
	}
}

// endSearch does what the search's last step says.
func (o *Owner) endSearch(ctx context.Context, sku string, step search.Step) {
	o.search = nil
	switch step := step.(type) {
	case search.StockCame:
		o.redecide = true
	case search.SoldOut:
		// The own shard is a part of the proof: it had no more than the owner remembers.
		if !o.upToDateSince(ctx, step.At) {
			o.refuseParked(sku)
			return
		}
		// Those who wait are decided on again, now that this is known.
		o.soldOut[sku] = soldOut{left: step.Left, at: step.At}
		o.redecide = true
	case search.GiveUp:
		o.refuseParked(sku)
	}
}

// shortage is the item that the first parked request lacks, and how much all of them together lack.
func (o *Owner) shortage() (sku string, need int64) {
	waiting := o.parked[:0]
	promo := o.promotion()
	var wanted partition.Request
	for _, r := range o.parked {
		if r.call.ctx.Err() != nil {
			o.refuse(r, o.moving())
			continue
		}
		waiting = append(waiting, r)
		if setRequest(&wanted, promo, r.message) != nil {
			continue
		}
		for _, m := range o.state.Decide(wanted).Missing {
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
		// What they lacked has come, or the promotion changed: they are decided on again.
		o.redecide = true
	}
	return sku, need
}

// askOrder is the stream's other partitions, in the order in which to ask them for stock.
func (o *Owner) askOrder(sku string) []int32 {
	promo := o.promotion()
	count := promo.PerStream()
	first := promo.StreamOf(o.partition) * count
	return search.Order(first, count, o.partition, func(n int32) int64 { return o.level(n, sku) })
}

// ask puts one question and reports the answer to the search. goOn says that the search may go
// on at once: otherwise the log was read again, and what waits is decided on again first. An error
// says that the partition must be given up.
func (o *Owner) ask(ctx context.Context, sku string, question search.Ask) (goOn bool, err error) {
	response, err := o.askPeer(ctx, sku, question)
	switch reason := rpcerr.Reason(err); {
	case err == nil:
	case reason == rpcerr.ReasonNotOwner || reason == rpcerr.ReasonOverloaded:
		o.search.Answered(o.clock(), search.Answer{Outcome: search.Busy})
		return true, nil
	default:
		// The batch may still land in this partition's log: nothing may be decided before that is
		// known.
		o.metrics.transfers.WithLabelValues("unknown").Inc()
		o.search.Answered(o.clock(), search.Answer{Outcome: search.Unknown})
		return false, o.recover(ctx, err)
	}
	o.metrics.transfers.WithLabelValues(outcomeLabel(response.GetOutcome())).Inc()
	switch response.GetOutcome() {
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_MOVED:
		record := transferredIn(question.Partition, sku, response.GetQuantity())
		if err := o.state.Fold(response.GetToSequence(), record); err != nil {
			return false, err
		}
		o.search.Answered(o.clock(), search.Answer{Outcome: search.Moved})
		return true, nil
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_EMPTY:
		o.search.Answered(o.clock(), search.Answer{Outcome: search.Empty, Inflows: response.GetInflows()})
		return true, nil
	case flashv1.TransferOutcome_TRANSFER_OUTCOME_STALE:
		o.search.Answered(o.clock(), search.Answer{Outcome: search.Unknown})
		return false, o.recover(ctx, plog.ErrRefused)
	default:
		o.search.Answered(o.clock(), search.Answer{Outcome: search.Busy})
		return true, nil
	}
}

func (o *Owner) askPeer(
	ctx context.Context, sku string, question search.Ask,
) (*flashv1.TransferResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	return o.peers.Transfer(ctx, &flashv1.TransferRequest{
		PromotionUid: o.promotion().GetUid(), FromPartition: question.Partition, ToPartition: o.partition,
		Sku: sku, Need: question.Need, ToSequence: o.state.Sequence(),
	})
}

// refuseParked sends away those who wait for stock of the item.
func (o *Owner) refuseParked(sku string) {
	rest := o.parked[:0]
	wanted := func(item *flashv1.FlashOrderItem) bool { return item.GetSku() == sku }
	for _, r := range o.parked {
		if slices.ContainsFunc(r.message.GetItems(), wanted) {
			o.refuse(r, o.moving())
		} else {
			rest = append(rest, r)
		}
	}
	clear(o.parked[len(rest):])
	o.parked = rest
}
