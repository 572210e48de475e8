package watch

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkEvery is how often a watch is compared with its bucket. The consumer behind it may be gone with its server, which the client notices
// after many seconds only.
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

// lastRevision of the bucket; false if nobody says.
func lastRevision(ctx context.Context, kv jetstream.KeyValue) (uint64, bool) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return 0, false
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return 0, false
	}
	return bucket.StreamInfo().State.LastSeq, true
}
