package prepare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// PromotionsBucket has a flashv1.Promotion for each promotion uid.
	PromotionsBucket = "orderd_promotions"
	// MembersBucket has a flashv1.Member for each live pod of the flash pool.
	MembersBucket = "orderd_members"
	// MemberTTL is how long a pod that does not renew its entry counts as live.
	MemberTTL = 2 * time.Second
)

// EnsureBuckets creates both key-value buckets, or changes those that are not as they should be. Where
// all is well it only looks.
func EnsureBuckets(ctx context.Context, js jetstream.JetStream, replicas int) error {
	buckets := []jetstream.KeyValueConfig{
		{
			Bucket:      PromotionsBucket,
			Description: "Promotions as flash pods and workers see them",
			Storage:     jetstream.FileStorage,
			Replicas:    replicas,
			History:     1,
		},
		// The markers let watchers see that an entry was not renewed.
		{
			Bucket:         MembersBucket,
			Description:    "Live flash pods",
			Storage:        jetstream.MemoryStorage,
			Replicas:       replicas,
			History:        1,
			TTL:            MemberTTL,
			LimitMarkerTTL: MemberTTL,
		},
	}
	for _, bucket := range buckets {
		if err := EnsureBucket(ctx, js, bucket); err != nil {
			return err
		}
	}
	return nil
}

// EnsureBucket creates a key-value bucket, or changes it if it is not as the configuration says. It only
// looks where it is: to change a stream, be it to what it is already, is work for all servers.
func EnsureBucket(ctx context.Context, js jetstream.JetStream, bucket jetstream.KeyValueConfig) error {
	stream, err := js.Stream(ctx, "KV_"+bucket.Bucket)
	switch {
	case err == nil && same(stream.CachedInfo().Config, bucket):
		return nil
	case err != nil && !errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("finding bucket %s: %w", bucket.Bucket, err)
	}
	if _, err := js.CreateOrUpdateKeyValue(ctx, bucket); err != nil {
		return fmt.Errorf("creating bucket %s: %w", bucket.Bucket, err)
	}
	return nil
}

// same compares what EnsureBuckets and its like say of a bucket.
func same(have jetstream.StreamConfig, want jetstream.KeyValueConfig) bool {
	return have.Description == want.Description && have.Storage == want.Storage && have.Replicas == want.Replicas &&
		have.MaxMsgsPerSubject == int64(want.History) && have.MaxAge == want.TTL &&
		have.SubjectDeleteMarkerTTL == want.LimitMarkerTTL
}
