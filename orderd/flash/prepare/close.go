package prepare

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

// ClosePartitions ends every partition and returns what they hold, by SKU. A partition that lacks a
// share of the promotion's top-ups gets it first. owner names the caller in the logs. Owners that
// still append lose against it sooner or later; stop the sale before for it to be soon.
func ClosePartitions(
	ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion, owner string,
) ([]Total, error) {
	return CloseLogs(ctx, plog.New(js, promo), promo, owner)
}

// CloseLogs is ClosePartitions on any log.
func CloseLogs(ctx context.Context, log plog.Log, promo *flashv1.Promotion, owner string) ([]Total, error) {
	s := promotion.New(promo)
	return collect(ctx, promo, func(ctx context.Context, n int32, state *partition.State) error {
		return closePartition(ctx, log, s, n, state, owner)
	})
}

func closePartition(
	ctx context.Context, log plog.Log, promo *promotion.Promotion, n int32, state *partition.State, owner string,
) error {
	for {
		if err := plog.Catch(ctx, log, n, state); err != nil {
			return err
		}
		if state.Closed() {
			return nil
		}
		if !state.Opened() {
			return fmt.Errorf("partition %d was never opened", n)
		}
		if err := endPartition(ctx, log, promo, n, state, owner); err != nil {
			return err
		}
	}
}

// endPartition appends what is missing in the log, and Closed. It returns early, without an error,
// if an append does not land or may not have: the log tells.
func endPartition(
	ctx context.Context, log plog.Log, promo *promotion.Promotion, n int32, state *partition.State, owner string,
) error {
	landed := func(record *flashv1.Record) (bool, error) {
		sequence, err := tryAppend(ctx, log, plog.Entry{Partition: n, Expected: state.Sequence(), Record: record})
		if err != nil {
			if ctx.Err() != nil {
				return false, err
			}
			return false, nil
		}
		return true, state.Fold(sequence, record)
	}
	// Fencing first ends what an owner has in flight; the rest follows at once, and the owner, who
	// must read the log before it can append again, comes too late.
	if ok, err := landed(&flashv1.Record{Kind: &flashv1.Record_Fenced{Fenced: &flashv1.Fenced{Owner: owner}}}); !ok ||
		err != nil {
		return err
	}
	for _, topUp := range promo.GetTopUps() {
		record := promo.ToppedUp(n, topUp)
		if record == nil || state.HasTopUp(topUp.GetId()) {
			continue
		}
		if ok, err := landed(record); !ok || err != nil {
			return err
		}
	}
	_, err := landed(state.ClosedRecord())
	return err
}
