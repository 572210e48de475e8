// Package watch follows a NATS key-value bucket through outages: of the connection, of the server and
// of the bucket itself.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// session is how long one watch is trusted; then the bucket is read anew, so that
	// nothing stays missed.
	session = 10 * time.Second
	// syncTimeout bounds the reading of all keys.
	syncTimeout = 5 * time.Second
	// retryDelay is the wait after a watch could not be opened, before jitter.
	retryDelay = 250 * time.Millisecond
)

// Handler gets what a bucket holds. It is called by one goroutine.
type Handler struct {
	// Put is a key's value, new or seen before, and when the server stored it.
	Put func(key string, value []byte, stored time.Time)
	// Stored, if set, comes before Put with the entry's revision and when the server stored it.
	Stored func(key string, revision uint64, stored time.Time)
	// Delete is a key that was removed, or has expired.
	Delete func(key string)
	// Expired, if set, gets the keys that have expired in place of Delete.
	Expired func(key string)
	// Synced has all keys of the bucket, each time they were all read. Keys that
	// expire may be missing.
	Synced func(keys map[string]struct{})
}

// Bucket follows a bucket until ctx ends. Keys that are there are put again from time to time.
func Bucket(
	ctx context.Context, js jetstream.JetStream, bucket string, jitter func(time.Duration) time.Duration,
	log *slog.Logger, handler Handler,
) {
	reconnected := js.Conn().StatusChanged(nats.CONNECTED)
	defer js.Conn().RemoveStatusListener(reconnected)
	for ctx.Err() == nil {
		err := follow(ctx, js, bucket, jitter(session), reconnected, handler)
		if err == nil || ctx.Err() != nil {
			continue
		}
		log.Warn("bucket cannot be watched", "bucket", bucket, "error", err)
		timer := time.NewTimer(jitter(retryDelay))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

var (
	errSlow = errors.New("the bucket's keys did not all come in time")
	errLags = errors.New("the server that was asked for the bucket's keys is behind its leader")
)

// follow watches the bucket for a length of time, or until the watch is good for nothing any more;
// nil: begin anew at once.
func follow(
	ctx context.Context, js jetstream.JetStream, bucket string, length time.Duration,
	reconnected <-chan nats.Status, handler Handler,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opening, opened := context.WithTimeout(ctx, syncTimeout)
	defer opened()
	kv, err := js.KeyValue(opening, bucket)
	if err != nil {
		return err
	}
	// The watch brings what is left of the revisions until here.
	var seen atomic.Uint64
	before, err := stateOf(opening, kv)
	if err != nil {
		return err
	}
	seen.Store(before.last)
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = watcher.Stop() }()
	end := time.NewTimer(length)
	defer end.Stop()
	keys := map[string]struct{}{}
	listed, synced := false, false
	var brought uint64
	var missed <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-opening.Done():
			if !synced {
				return errSlow
			}
			opening = ctx
		case <-reconnected:
			return nil
		case <-end.C:
			return nil
		case <-missed:
			return nil
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return nil
			case entry == nil:
				listed = true
			default:
				brought = max(brought, entry.Revision())
				seen.Store(max(seen.Load(), brought))
				handler.handOn(entry, keys)
			}
			// A server that has just started, or lost its connection, may list less than its leader
			// has: what it lacks is not gone, and follows.
			if listed && !synced && (brought >= before.last || !before.lasting) {
				synced = true
				handler.Synced(keys)
				missed = behind(ctx, kv, &seen)
			}
		}
	}
}

// handOn tells the handler what happened to one key.
func (h Handler) handOn(entry jetstream.KeyValueEntry, keys map[string]struct{}) {
	switch entry.Operation() {
	case jetstream.KeyValuePut:
		keys[entry.Key()] = struct{}{}
		if h.Stored != nil {
			h.Stored(entry.Key(), entry.Revision(), entry.Created())
		}
		h.Put(entry.Key(), entry.Value(), entry.Created())
		return
	case jetstream.KeyValuePurge:
		// The server's marker for what it dropped by age. Nobody else purges keys that expire.
		if h.Expired != nil {
			delete(keys, entry.Key())
			h.Expired(entry.Key())
			return
		}
	}
	delete(keys, entry.Key())
	h.Delete(entry.Key())
}
