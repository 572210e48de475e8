package prepare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

const (
	// parallel is how many partitions are read or closed at once.
	parallel = 8
	// appendTimeout bounds one append, after which its outcome is unknown.
	appendTimeout = 5 * time.Second
	// batchBytes bounds an atomic batch's records, well below what the server buffers.
	batchBytes = 4 << 20
)

// Item is a SKU's quantity, in units, in the whole promotion.
type Item struct {
	SKU      string
	Quantity int64
}

// Total is what all partitions hold of a SKU, in units: Allocated + ToppedUp = Sold + Unsold unless a
// log is corrupt.
type Total struct {
	SKU                 string
	Allocated, ToppedUp int64
	// Sold is reserved and not released.
	Sold   int64
	Unsold int64
}

// Split shares the items out: every one of n partitions (at least 1) gets an item's quantity
// divided by n, rounded down or up, and the sum is exact. The same items give the same shares.
func Split(items []Item, n int32) [][]Item {
	shards := make([][]Item, n)
	for _, item := range items {
		for p := range n {
			shards[p] = append(shards[p], Item{SKU: item.SKU, Quantity: partition.Share(item.Quantity, item.SKU, p, n)})
		}
	}
	return shards
}

// OpenPartitions writes the first record of every partition that has none, with its share of the
// items. allocation names the promotion's allocation in the database. Each partition is opened once
// however often this runs; a repetition must bring the same items.
func OpenPartitions(
	ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion, allocation string, items []Item,
) error {
	for k := range promo.GetStreams() {
		if err := openStream(ctx, js, promotion.New(promo), int32(k), allocation, items); err != nil {
			return err
		}
	}
	return nil
}

// openStream opens the partitions of one stream with the items that it sells.
func openStream(
	ctx context.Context, js jetstream.JetStream, promo *promotion.Promotion, k int32, allocation string, items []Item,
) error {
	log := plog.New(js, promo.Promotion)
	mine := slices.DeleteFunc(slices.Clone(items), func(item Item) bool { return promo.Item(item.SKU).GetStream() != k })
	shards := Split(mine, promo.PerStream())
	for {
		unopened, err := unopened(ctx, js, promo, k)
		if err != nil {
			return err
		}
		if len(unopened) == 0 {
			return nil
		}
		err = openAll(ctx, log, unopened, shards, allocation)
		if err != nil && !errors.Is(err, plog.ErrRefused) {
			return fmt.Errorf("opening partitions of promotion %s: %w", promo.GetUid(), err)
		}
		// Refused: somebody else opened some of them meanwhile.
	}
}

// unopened are the partitions of a stream without a record.
func unopened(ctx context.Context, js jetstream.JetStream, promo *promotion.Promotion, k int32) ([]int32, error) {
	name := promo.GetStreams()[k]
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("finding stream %s: %w", name, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("promo."+promo.GetUid()+".*"))
	if err != nil {
		return nil, fmt.Errorf("listing subjects of stream %s: %w", name, err)
	}
	var partitions []int32
	for n := k * promo.PerStream(); n < (k+1)*promo.PerStream(); n++ {
		if info.State.Subjects[plog.Subject(promo.GetUid(), n)] == 0 {
			partitions = append(partitions, n)
		}
	}
	return partitions, nil
}

func openAll(ctx context.Context, log plog.Log, partitions []int32, shards [][]Item, allocation string) error {
	var batch []plog.Entry
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, appendTimeout)
		defer cancel()
		_, err := log.AppendBatch(ctx, batch)
		batch, size = nil, 0
		return err
	}
	for _, n := range partitions {
		opened := &flashv1.Opened{Allocation: allocation}
		for _, item := range shards[n%int32(len(shards))] {
			opened.Items = append(opened.Items, &flashv1.ItemQuantity{Sku: item.SKU, Quantity: item.Quantity})
			size += len(item.SKU) + 16
		}
		batch = append(batch, plog.Entry{Partition: n, Record: &flashv1.Record{Kind: &flashv1.Record_Opened{Opened: opened}}})
		if len(batch) == plog.MaxBatch || size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func tryAppend(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	return log.Append(ctx, entry)
}

// Totals reads all partitions and returns what they hold, by SKU.
func Totals(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion) ([]Total, error) {
	log := plog.New(js, promo)
	return collect(ctx, promo, func(ctx context.Context, n int32, state *partition.State) error {
		return plog.Catch(ctx, log, n, state)
	})
}

// collect runs load for every partition and adds up their shards, sorted by SKU. A transfer
// is counted at both ends or, if it lands while they are read, at one: only closed
// partitions give exact totals.
func collect(
	ctx context.Context, promo *flashv1.Promotion, load func(context.Context, int32, *partition.State) error,
) ([]Total, error) {
	var mu sync.Mutex
	totals := map[string]*Total{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for n := range promo.GetPartitions() {
		group.Go(func() error {
			state := partition.New()
			if err := load(ctx, n, state); err != nil {
				return fmt.Errorf("promotion %s: %w", promo.GetUid(), err)
			}
			if err := state.Check(); err != nil {
				return fmt.Errorf("promotion %s partition %d: %w", promo.GetUid(), n, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, sku := range state.SKUs() {
				total := totals[sku]
				if total == nil {
					total = &Total{SKU: sku}
					totals[sku] = total
				}
				shard := state.Shard(sku)
				total.Allocated += shard.Allocated
				total.ToppedUp += shard.ToppedUp
				total.Sold += shard.Reserved
				total.Unsold += shard.Available
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	list := make([]Total, 0, len(totals))
	for _, total := range totals {
		list = append(list, *total)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].SKU < list[j].SKU })
	return list, nil
}
