package owner

import (
	"context"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// Levels is what an owner knows of its partition's stock. It may be behind the log by the time that it is read.
type Levels struct {
	// Sequence of the log that it was read at.
	Sequence uint64
	// Items has every stock shard, empty ones too.
	Items []Level
	// SoldOut are the proofs that the owner made or found valid within the last second.
	SoldOut []SoldOut
}

// Level of a stock shard.
type Level struct {
	SKU string
	// Available in units.
	Available int64
}

// SoldOut is a proof: at a moment, no more than Left units of the item could be had in all of its shards.
type SoldOut struct {
	SKU string
	// Left in units.
	Left int64
	// At is that moment, by the owner's Options.Clock.
	At time.Time
}

// Levels reads the stock shards, between two appends. Errors: refusal.NotOwner while the partition is taken over, or when the owner
// has ended or lost its lease; PartitionMoving when ctx ends first; Overloaded.
func (o *Owner) Levels(ctx context.Context) (Levels, error) {
	if !o.serving.Load() {
		return Levels{}, refusal.NotOwner()
	}
	r := o.question(&call{ctx: ctx, levels: true})
	return r.levels, r.err
}

func (o *Owner) readLevels() (Levels, error) {
	if !o.Lease() || !o.Owned() {
		return Levels{}, refusal.NotOwner()
	}
	skus := o.state.SKUs()
	levels := Levels{Sequence: o.state.Sequence(), Items: make([]Level, len(skus))}
	now := o.Clock()
	for i, sku := range skus {
		levels.Items[i] = Level{SKU: sku, Available: o.state.Shard(sku).Available}
		if known, ok := o.soldOut[sku]; ok && now.Sub(known.at) < soldOutTTL {
			levels.SoldOut = append(levels.SoldOut, SoldOut{SKU: sku, Left: known.left, At: known.at})
		}
	}
	return levels, nil
}

// Wake has an idle owner look at its sale again.
func (o *Owner) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// topUp appends the partition's shares of the top-ups that it lacks. A closed partition takes none: whoever closes it appends
// them before.
func (o *Owner) topUp(ctx context.Context) error {
	for {
		current := o.Sale()
		if current == o.toppedUp || o.state.Closed() {
			o.toppedUp = current
			return nil
		}
		record := o.lackedTopUp(current)
		if record == nil {
			o.toppedUp = current
			return nil
		}
		sequence, err := o.append(ctx, record)
		if err == nil {
			err = o.state.Fold(sequence, record)
			o.redecide = true
		}
		if err != nil {
			if err := o.recover(ctx, err); err != nil {
				return err
			}
		}
		// Looked at again: whether it landed, the state says.
	}
}

func (o *Owner) lackedTopUp(current *promotion.Promotion) *flashv1.Record {
	for _, topUp := range current.GetTopUps() {
		if record := current.ToppedUp(o.Partition, topUp); record != nil && !o.state.HasTopUp(topUp.GetId()) {
			return record
		}
	}
	return nil
}
