package prepare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

// publishAttempts bounds how often a promotion is written after somebody else wrote it in between.
const publishAttempts = 5

// PutPromotion writes the promotion's key unless it has that value; see Publish.
func PutPromotion(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion) error {
	_, err := Publish(ctx, js, promo)
	return err
}

// OlderError says that a promotion's key has a later definition than the one to be published: whoever
// publishes it was late, and has to look again at what it is publishing.
type OlderError struct {
	UID string
	// Generation is that of the definition that was not published; Have, of the one that stays.
	Generation, Have int64
}

// Error names both generations.
func (e *OlderError) Error() string {
	return fmt.Sprintf("promotion %s: its generation %d was published before, and generation %d is older", e.UID, e.Have,
		e.Generation)
}

// Publish writes the promotion's key unless it has that value, and returns what it had before; nil:
// nothing. Top-ups that the key has stay in it: owners may have appended them, so that none may be
// forgotten by a writer that does not know them. So does that the promotion is closed. A later definition
// stays as it is, with an *OlderError.
func Publish(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion) (*flashv1.Promotion, error) {
	bucket, err := js.KeyValue(ctx, PromotionsBucket)
	if err != nil {
		return nil, fmt.Errorf("finding bucket %s: %w", PromotionsBucket, err)
	}
	for range publishAttempts {
		before, revision, err := published(ctx, bucket, promo.GetUid())
		if err != nil {
			return nil, err
		}
		if older(promo, before) {
			return nil, &OlderError{UID: promo.GetUid(), Generation: promo.GetGeneration(), Have: before.GetGeneration()}
		}
		next := withClosed(withTopUps(promo, before.GetTopUps()), before.GetClosed())
		if proto.Equal(before, next) {
			return before, nil
		}
		value, err := proto.Marshal(next)
		if err != nil {
			return nil, fmt.Errorf("encoding promotion %s: %w", promo.GetUid(), err)
		}
		// Create also takes the place of a marker that a deletion left.
		write := func() (uint64, error) { return bucket.Create(ctx, promo.GetUid(), value) }
		if revision > 0 {
			write = func() (uint64, error) { return bucket.Update(ctx, promo.GetUid(), value, revision) }
		}
		if _, err = write(); err == nil {
			return before, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && !plog.IsWrongSequence(err) {
			return nil, fmt.Errorf("writing promotion %s: %w", promo.GetUid(), err)
		}
	}
	return nil, fmt.Errorf("writing promotion %s: others wrote it %d times at the same moment", promo.GetUid(),
		publishAttempts)
}

// Published is what the promotion's key has; nil: there is none, or no bucket.
func Published(ctx context.Context, js jetstream.JetStream, uid string) (*flashv1.Promotion, error) {
	bucket, err := js.KeyValue(ctx, PromotionsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding bucket %s: %w", PromotionsBucket, err)
	}
	promo, _, err := published(ctx, bucket, uid)
	return promo, err
}

// published is the value of the promotion's key and its revision; nil and 0: there is none.
func published(ctx context.Context, bucket jetstream.KeyValue, uid string) (*flashv1.Promotion, uint64, error) {
	entry, err := bucket.Get(ctx, uid)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading promotion %s: %w", uid, err)
	}
	have := &flashv1.Promotion{}
	if proto.Unmarshal(entry.Value(), have) == nil {
		return have, entry.Revision(), nil
	}
	// Nothing that orderd wrote: it is overwritten.
	return nil, entry.Revision(), nil
}

// older tells whether a definition is of an earlier PromotionEvent than the one before, or of an earlier generation of
// the same.
func older(promo, before *flashv1.Promotion) bool {
	return cmp.Or(cmp.Compare(promo.GetMadeUnixMs(), before.GetMadeUnixMs()),
		cmp.Compare(promo.GetGeneration(), before.GetGeneration())) < 0
}

func withClosed(promo *flashv1.Promotion, closed bool) *flashv1.Promotion {
	if !closed || promo.GetClosed() {
		return promo
	}
	next := proto.CloneOf(promo)
	next.Closed = true
	return next
}

// withTopUps is the promotion with those before its own that it lacks.
func withTopUps(promo *flashv1.Promotion, before []*flashv1.TopUp) *flashv1.Promotion {
	has := make(map[string]bool, len(promo.GetTopUps()))
	for _, t := range promo.GetTopUps() {
		has[t.GetId()] = true
	}
	var kept []*flashv1.TopUp
	for _, t := range before {
		if !has[t.GetId()] {
			kept = append(kept, t)
		}
	}
	if kept == nil {
		return promo
	}
	next := proto.CloneOf(promo)
	next.TopUps = slices.Concat(kept, next.GetTopUps())
	return next
}
