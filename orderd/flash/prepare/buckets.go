package prepare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

const (
	// PromotionsBucket has a flashv1.Promotion for each promotion uid.
	PromotionsBucket = "orderd_promotions"
	// MembersBucket has a flashv1.Member for each live pod of the flash pool.
	MembersBucket = "orderd_members"
	// MemberTTL is how long a pod that does not renew its entry counts as live.
	MemberTTL = 2 * time.Second

	// bucketDuplicates is how long the server knows a write again that a client repeats.
	bucketDuplicates = 2 * time.Minute
)

func promotionsBucket(replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      PromotionsBucket,
		Description: "Promotions as flash pods and workers see them",
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		History:     1,
	}
}

func membersBucket(replicas int) jetstream.KeyValueConfig {
	// The markers let watchers see that an entry was not renewed.
	return jetstream.KeyValueConfig{
		Bucket:         MembersBucket,
		Description:    "Live flash pods",
		Storage:        jetstream.MemoryStorage,
		Replicas:       replicas,
		History:        1,
		TTL:            MemberTTL,
		LimitMarkerTTL: MemberTTL,
	}
}

// EnsureBuckets creates both key-value buckets, or changes what pods cannot do without of those that are
// there; see EnsureBucket. Where all is well it only looks.
func EnsureBuckets(ctx context.Context, js jetstream.JetStream, replicas int) (broken []string, err error) {
	for _, bucket := range []jetstream.KeyValueConfig{promotionsBucket(replicas), membersBucket(replicas)} {
		told, err := EnsureBucket(ctx, js, bucket)
		if err != nil {
			return nil, err
		}
		broken = append(broken, told...)
	}
	return broken, nil
}

// EnsurePodBuckets is EnsureBuckets for flash pods, whose credentials may change the members' bucket
// alone. They make the promotions' as well, if there is none, for whoever has no operator.
func EnsurePodBuckets(ctx context.Context, js jetstream.JetStream, replicas int) error {
	promotions := bucketStream(promotionsBucket(replicas))
	_, err := js.Stream(ctx, promotions.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, promotions)
	}
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("bucket %s: %w", PromotionsBucket, err)
	}
	_, err = EnsureBucket(ctx, js, membersBucket(replicas))
	return err
}

// EnsureBucket creates a key-value bucket. Of one that is there it changes only what its users cannot do
// without: fewer replicas, and how long keys live. It only looks where all is well: to change a stream,
// be it to what it is already, is work for all servers. What an administrator has set so that it breaks
// a promise is returned, as messaging.Ensure says.
func EnsureBucket(
	ctx context.Context, js jetstream.JetStream, bucket jetstream.KeyValueConfig,
) (broken []string, err error) {
	want := bucketStream(bucket)
	return messaging.Ensure(ctx, js, want, func(c *jetstream.StreamConfig) {
		if want.MaxAge > 0 {
			c.MaxAge, c.SubjectDeleteMarkerTTL = want.MaxAge, want.SubjectDeleteMarkerTTL
			c.Duplicates = min(c.Duplicates, want.MaxAge)
		}
	})
}

// bucketStream is the stream that a bucket is, as the client would make it.
func bucketStream(bucket jetstream.KeyValueConfig) jetstream.StreamConfig {
	duplicates := bucketDuplicates
	if bucket.TTL > 0 {
		duplicates = min(duplicates, bucket.TTL)
	}
	return jetstream.StreamConfig{
		Name: BucketStream(bucket.Bucket), Description: bucket.Description, Subjects: []string{BucketSubjects(bucket.Bucket)},
		Storage: bucket.Storage, Replicas: bucket.Replicas, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: int64(bucket.History), MaxAge: bucket.TTL, Duplicates: duplicates,
		MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
		AllowRollup: true, DenyDelete: true, AllowDirect: true,
		AllowMsgTTL: bucket.LimitMarkerTTL > 0, SubjectDeleteMarkerTTL: bucket.LimitMarkerTTL,
	}
}

// BucketStream is the name of the stream that a bucket is.
func BucketStream(bucket string) string { return "KV_" + bucket }

// BucketSubjects are the subjects of all keys of a bucket.
func BucketSubjects(bucket string) string { return "$KV." + bucket + ".>" }
