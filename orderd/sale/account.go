package sale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// AccountBucket has the stamp of the order platform whose NATS account it is. It is a bucket of
	// its own: the pods watch all keys of the others, and make those anew as they need them.
	AccountBucket = "orderd_account"
	// accountKey is the stamp's, as `nats kv get orderd_account owner` shows it.
	accountKey = "owner"

	// claimAttempts bounds how often a stamp is looked at again that others change meanwhile.
	claimAttempts = 5
)

// Owner is the order platform that a NATS account belongs to.
type Owner struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// UID tells it from one of the same name in another Kubernetes cluster.
	UID string `json:"uid"`
}

// AccountInUseError says that a NATS account is another one's: buckets, streams and consumers have the
// same names for all, so that two would take each other's promotions and orders for their own.
type AccountInUseError struct{ Owner Owner }

// Error names the owner.
func (e *AccountInUseError) Error() string {
	return fmt.Sprintf("the NATS account is in use by OrderCluster %s/%s (UID %s)", e.Owner.Namespace, e.Owner.Name,
		e.Owner.UID)
}

// CheckAccount is nil if the account is the owner's or nobody's, else an *AccountInUseError.
func CheckAccount(ctx context.Context, js jetstream.JetStream, owner Owner) error {
	bucket, err := js.KeyValue(ctx, AccountBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding bucket %s: %w", AccountBucket, err)
	}
	found, revision, err := stamp(ctx, bucket)
	if err == nil && revision > 0 && found.UID != owner.UID {
		err = &AccountInUseError{found}
	}
	return err
}

// ClaimAccount stamps the account with the owner, unless it is stamped so. Of several who claim it at
// the same moment one gets it. The error is an *AccountInUseError if it is another one's, unless that
// has one of the UIDs in from: then it is taken over.
func ClaimAccount(ctx context.Context, js jetstream.JetStream, owner Owner, replicas int, from ...string) error {
	// A foreign account is left as it is, with the number of its replicas.
	if err := CheckAccount(ctx, js, owner); err != nil && !isFrom(err, from) {
		return err
	}
	_, err := prepare.EnsureBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: AccountBucket, Description: "The OrderCluster that this NATS account belongs to",
		Storage: jetstream.FileStorage, Replicas: replicas, History: 1,
	})
	if err != nil {
		return err
	}
	bucket, err := js.KeyValue(ctx, AccountBucket)
	if err != nil {
		return fmt.Errorf("finding bucket %s: %w", AccountBucket, err)
	}
	value, err := json.Marshal(owner)
	if err != nil {
		return fmt.Errorf("encoding the owner of the NATS account: %w", err)
	}
	for range claimAttempts {
		found, revision, err := stamp(ctx, bucket)
		switch {
		case err != nil:
			return err
		case revision == 0:
			_, err = bucket.Create(ctx, accountKey, value)
		case found.UID == owner.UID:
			return nil
		default:
			if err = error(&AccountInUseError{found}); !isFrom(err, from) {
				return err
			}
			_, err = bucket.Update(ctx, accountKey, value, revision)
		}
		// Who comes second reads who came first.
		if err != nil && !errors.Is(err, jetstream.ErrKeyExists) && !plog.IsWrongSequence(err) {
			return fmt.Errorf("stamping the NATS account: %w", err)
		}
	}
	return fmt.Errorf("stamping the NATS account: others wrote it %d times at the same moment", claimAttempts)
}

// isFrom tells whether the account is one's that it may be taken over from.
func isFrom(err error, from []string) bool {
	var used *AccountInUseError
	if !errors.As(err, &used) {
		return false
	}
	for _, uid := range from {
		if uid != "" && uid == used.Owner.UID {
			return true
		}
	}
	return false
}

// ReleaseAccount removes the owner's stamp, so that whoever comes next has the account; nil if there
// is none, or another one's.
func ReleaseAccount(ctx context.Context, js jetstream.JetStream, owner Owner) error {
	bucket, err := js.KeyValue(ctx, AccountBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding bucket %s: %w", AccountBucket, err)
	}
	found, revision, err := stamp(ctx, bucket)
	if err != nil || revision == 0 || found.UID != owner.UID {
		return err
	}
	err = bucket.Purge(ctx, accountKey, jetstream.LastRevision(revision))
	if err != nil && !plog.IsWrongSequence(err) {
		return fmt.Errorf("removing the stamp of the NATS account: %w", err)
	}
	return nil
}

// stamp reads whose account it is, and at which revision; 0: nobody's.
func stamp(ctx context.Context, bucket jetstream.KeyValue) (Owner, uint64, error) {
	entry, err := bucket.Get(ctx, accountKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Owner{}, 0, nil
	}
	if err != nil {
		return Owner{}, 0, fmt.Errorf("reading whose NATS account it is: %w", err)
	}
	var found Owner
	if err := json.Unmarshal(entry.Value(), &found); err != nil {
		return Owner{}, 0, fmt.Errorf("key %s of bucket %s cannot be read: %w", accountKey, AccountBucket, err)
	}
	return found, entry.Revision(), nil
}

// EnsureAccount makes what an order platform has in its account beside promotions' logs: the buckets that
// its pods watch, and the streams of events and dead letters. Of what is there it changes only what
// orderd cannot do without. It returns what an administrator has set so that a promise is broken, in
// words for people. Each of its calls is bounded by the JetStream's default time-out.
func EnsureAccount(ctx context.Context, js jetstream.JetStream, replicas int) (broken []string, err error) {
	ctx = messaging.PerCall(ctx)
	for _, ensure := range []func(context.Context, jetstream.JetStream, int) ([]string, error){
		prepare.EnsureBuckets, outbox.EnsureStream, consume.EnsureDeadLetters,
	} {
		told, err := ensure(ctx, js, replicas)
		if err != nil {
			return nil, err
		}
		broken = append(broken, told...)
	}
	return broken, nil
}
