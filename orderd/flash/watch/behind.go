package watch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkEvery is how often a watch is compared with its bucket. The consumer behind it may be gone
// with its server, which the client notices after many seconds only.
const checkEvery = 400 * time.Millisecond

// behind is closed once the bucket has had a revision for checkEvery that the watch has not brought.
func behind(ctx context.Context, kv jetstream.KeyValue, seen *atomic.Uint64) <-chan struct{} {
	missed := make(chan struct{})
	go func() {
		ticker := time.NewTicker(checkEvery)
		defer ticker.Stop()
		var last uint64
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if last > seen.Load() {
				close(missed)
				return
			}
			if revision, ok := lastRevision(ctx, kv); ok {
				last = revision
			}
		}
	}()
	return missed
}

// lastRevision of the bucket, as its stream's leader has it; false if nobody says.
func lastRevision(ctx context.Context, kv jetstream.KeyValue) (uint64, bool) {
	state, err := stateOf(ctx, kv)
	return state.last, err == nil
}

// state is what the leader of a bucket's stream says of it.
type state struct {
	// last is the last revision.
	last uint64
	// lasting says that keys do not expire: the last revision of each stays, if only as a mark that
	// the key was removed.
	lasting bool
}

func stateOf(ctx context.Context, kv jetstream.KeyValue) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return state{}, err
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return state{}, errors.New("the bucket's stream is not known")
	}
	return state{bucket.StreamInfo().State.LastSeq, status.TTL() == 0}, nil
}

// Empty says whether the bucket has no keys, and had none at some moment since it was asked. Its
// keys must not expire. Errors leave it open, also that the server asked for the keys is behind the
// others.
func Empty(ctx context.Context, kv jetstream.KeyValue) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	bucket, err := stateOf(ctx, kv)
	if err != nil || bucket.last == 0 {
		return err == nil, err
	}
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = watcher.Stop() }()
	var brought uint64
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return false, errLags
			case entry == nil && brought < bucket.last:
				return false, errLags
			case entry == nil:
				return true, nil
			case entry.Operation() == jetstream.KeyValuePut:
				return false, nil
			default:
				brought = max(brought, entry.Revision())
			}
		}
	}
}
