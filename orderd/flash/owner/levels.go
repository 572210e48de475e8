package owner

import (
	"context"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// Levels is what an owner knows of its partition's stock. It may be behind the log by the time that
// it is read.
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

// SoldOut is a proof: at a moment, no more than Left units of the item could be had in all of its
// shards.
type SoldOut struct {
	SKU string
	// Left in units.
	Left int64
	// At is that moment, by [Options].Clock.
	At time.Time
}

// Levels reads the stock shards, between two appends. Errors: [refusal.NotOwner] while the
// partition is taken over, or when the owner has ended or lost its lease; PartitionMoving when ctx
// ends first; Overloaded.
func (o *Owner) Levels(ctx context.Context) (Levels, error) {
	if !o.serving.Load() {
		return Levels{}, refusal.NotOwner()
	}
	c := &levelsCall{callFor: newCallFor[Levels](ctx)}
	c.housekeeping = true
	return ask(o, c, &c.callFor)
}

func (o *Owner) readLevels() (Levels, error) {
	if !o.lease() || !o.owned() {
		return Levels{}, refusal.NotOwner()
	}
	skus := o.state.SKUs()
	levels := Levels{Sequence: o.state.Sequence(), Items: make([]Level, len(skus))}
	now := o.clock()
	for i, sku := range skus {
		levels.Items[i] = Level{SKU: sku, Available: o.state.Shard(sku).Available}
		if known, ok := o.soldOut[sku]; ok && now.Sub(known.at) < soldOutTTL {
			levels.SoldOut = append(levels.SoldOut, SoldOut{SKU: sku, Left: known.left, At: known.at})
		}
	}
	return levels, nil
}
