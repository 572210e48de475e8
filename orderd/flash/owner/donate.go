package owner

import (
	"context"
	"errors"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// donate gives stock to the shards that asked for it.
func (o *Owner) donate(ctx context.Context) error {
	for len(o.donations) > 0 {
		c := o.donations[0]
		o.donations = o.donations[1:]
		if c.abandoned() {
			continue
		}
		if err := o.donateTo(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// donateTo answers the call, also when it returns an error.
func (o *Owner) donateTo(ctx context.Context, c *transferCall) error {
	sku, to := c.request.GetSku(), c.request.GetToPartition()
	quantity := o.state.Donation(sku, c.request.GetNeed())
	if o.state.Closed() && o.state.Shard(sku).Available > 0 {
		// The sale is being closed: the item is not sold out, and cannot be had here.
		c.answer(&flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY})
		return nil
	}
	if quantity == 0 {
		if !o.upToDateSince(ctx, c.came) {
			c.refuse(refusal.NotOwner())
			return nil
		}
		c.answer(&flashv1.TransferResponse{
			Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_EMPTY, Inflows: o.state.Shard(sku).Inflows,
		})
		return nil
	}
	if o.search != nil && o.search.SKU() == sku && o.partition < to {
		// Two shards that gather for orders larger than what either has would take from each other
		// for ever: the lower one keeps what it has until its own search is over.
		c.answer(&flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY})
		return nil
	}
	return o.move(ctx, c, quantity)
}

// move so many units to the shard that asked for them, by one atomic batch in both partitions'
// logs.
func (o *Owner) move(ctx context.Context, c *transferCall, quantity int64) error {
	sku, to := c.request.GetSku(), c.request.GetToPartition()
	out := transferredOut(to, sku, quantity)
	bounded, cancel := context.WithTimeout(ctx, appendTimeout)
	last, err := o.log.AppendBatch(bounded, []plog.Entry{
		{Partition: o.partition, Expected: o.state.Sequence(), Record: out},
		{Partition: to, Expected: c.request.GetToSequence(), Record: transferredIn(o.partition, sku, quantity)},
	})
	cancel()
	if err != nil {
		if errors.Is(err, plog.ErrRefused) {
			c.answer(&flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_STALE})
		} else {
			c.refuse(o.moving())
		}
		return o.recover(ctx, err)
	}
	if err := o.state.Fold(last-1, out); err != nil {
		c.refuse(o.moving())
		return err
	}
	c.answer(&flashv1.TransferResponse{
		Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_MOVED, Quantity: quantity, ToSequence: last,
		Inflows: o.state.Shard(sku).Inflows,
	})
	return nil
}

func transferredOut(to int32, sku string, quantity int64) *flashv1.Record {
	out := &flashv1.TransferredOut{ToPartition: to, Sku: sku, Quantity: quantity}
	return &flashv1.Record{Kind: &flashv1.Record_TransferredOut{TransferredOut: out}}
}

func transferredIn(from int32, sku string, quantity int64) *flashv1.Record {
	in := &flashv1.TransferredIn{FromPartition: from, Sku: sku, Quantity: quantity}
	return &flashv1.Record{Kind: &flashv1.Record_TransferredIn{TransferredIn: in}}
}

// outcomeLabel is an outcome as the metrics call it.
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
