// Package prepare prepares a promotion's stream and stock shards, ends them, and tells what they
// hold. Every function may be repeated, and interrupted, at any point. It needs JetStream only.
package prepare

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

const (
	// MaterializerConsumer is the durable consumer of every promotion's stream that writes its
	// orders to the database.
	MaterializerConsumer = "materializer"

	// materializeAckWait is how long a worker may hold a record without a sign of life.
	materializeAckWait = 20 * time.Second
	// maxUnacked records are with the workers at once, at most: enough for full transactions also
	// where a record has one order.
	maxUnacked = 4096
)

// ErrLogUnfit says that a promotion's stream was set by hand so that it could lose or refuse orders.
var ErrLogUnfit = errors.New("a promotion's log was set by hand so that nothing may be sold with it")

// EnsureStreams creates the promotion's streams, and the consumer of each that
// materializes it, unless they are there. Nothing in a stream can be changed or removed,
// other than with the stream itself. What an administrator has set of one stays, such as its
// placement; [ErrLogUnfit] if orders could be lost by it.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion, replicas int) error {
	for k := range promo.GetStreams() {
		if err := ensureStream(ctx, js, promo, int32(k), replicas); err != nil {
			return err
		}
	}
	return nil
}

func ensureStream(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion, k int32, replicas int) error {
	name := promo.GetStreams()[k]
	broken, err := messaging.Ensure(ctx, js, jetstream.StreamConfig{
		Name: name, Description: "Partitions of promotion " + promo.GetName(),
		Subjects: plog.Subjects(promo, k),
		Storage:  jetstream.FileStorage, Replicas: replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxBytes: -1,
		DenyDelete: true, DenyPurge: true, AllowAtomicPublish: true, AllowDirect: false,
	}, nil)
	if err != nil {
		return fmt.Errorf("creating a promotion's log: %w", err)
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: %s", ErrLogUnfit, strings.Join(broken, "; "))
	}
	_, err = js.CreateOrUpdateConsumer(ctx, name, jetstream.ConsumerConfig{
		Durable: MaterializerConsumer, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: materializeAckWait, MaxAckPending: maxUnacked, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("creating consumer %s of stream %s: %w", MaterializerConsumer, name, err)
	}
	return nil
}

// Drained says whether every record of the streams went through the materializer.
func Drained(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion) (bool, error) {
	for _, name := range promo.GetStreams() {
		if drained, err := drained(ctx, js, name); err != nil || !drained {
			return false, err
		}
	}
	return true, nil
}

func drained(ctx context.Context, js jetstream.JetStream, name string) (bool, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return false, fmt.Errorf("finding stream %s: %w", name, err)
	}
	consumer, err := stream.Consumer(ctx, MaterializerConsumer)
	if err != nil {
		return false, fmt.Errorf("finding consumer %s of stream %s: %w", MaterializerConsumer, name, err)
	}
	info := consumer.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0 &&
		info.AckFloor.Stream >= stream.CachedInfo().State.LastSeq, nil
}

// DeletePromotion removes the promotion's key; nil if there is none.
func DeletePromotion(ctx context.Context, js jetstream.JetStream, uid string) error {
	bucket, err := js.KeyValue(ctx, PromotionsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding bucket %s: %w", PromotionsBucket, err)
	}
	if err := bucket.Purge(ctx, uid); err != nil {
		return fmt.Errorf("deleting promotion %s: %w", uid, err)
	}
	return nil
}

// DeleteStreams removes the promotion's streams with all that is in them; nil if there are none.
func DeleteStreams(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion) error {
	for _, name := range promo.GetStreams() {
		if err := js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("deleting stream %s: %w", name, err)
		}
	}
	return nil
}
