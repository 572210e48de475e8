package sale

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/sale/capacity"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

type (
	// PromotionName is what a promotion is called, other than by its uid.
	PromotionName = stock.PromotionName
	// HeldError says that another promotion of the same name holds stock.
	HeldError = stock.HeldError
)

// ErrLogGone says that orders of a promotion are in the database, and JetStream does not know it: what it sold beyond
// them, and what is left, nobody knows.
var ErrLogGone = errors.New("orders of it are in the database, and its log is not in JetStream")

// ErrUntold says that JetStream has the log of a promotion, and not what the pods were told of it: how many partitions
// the log has cannot be known, and with another number its stock would be there twice.
var ErrUntold = errors.New("its log is in JetStream, and what the pods were told of it is not")

// NotHeldError says that a promotion cannot be gone on with: it holds no stock under the name.
type NotHeldError struct {
	UID string
	// Holder of the stock under the name; "": nobody.
	Holder string
}

// Error names who holds the stock instead.
func (e *NotHeldError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("no stock is held under this name: what UID %s had was returned, or it never had any", e.UID)
	}
	return fmt.Sprintf("the stock under this name is held by UID %s, not by %s", e.Holder, e.UID)
}

// Adopt looks for what somebody has to know who goes on with the promotion of this Sale's uid, of which only database
// and JetStream still know: it returns what the pods were told; nil: nothing yet. A *NotHeldError if it holds no stock
// under the Sale's Name, ErrLogGone if its log is lost, ErrUntold if only that is left.
func (s *Sale) Adopt(ctx context.Context) (*flashv1.Promotion, error) {
	holder, err := ask(ctx, s, func(ctx context.Context, db *pgxpool.Pool, _ string) (string, error) {
		return stock.Holder(ctx, db, s.name)
	})
	if err != nil {
		return nil, err
	}
	if holder != s.promo.GetUid() {
		return nil, &NotHeldError{UID: s.promo.GetUid(), Holder: holder}
	}
	told, err := s.told(ctx)
	if err != nil || told != nil {
		return told, err
	}
	written, err := s.written(ctx)
	if err != nil || written {
		return nil, cmp.Or(err, ErrUntold)
	}
	sold, err := ask(ctx, s, order.SoldInPromotion)
	if err == nil && len(sold) > 0 {
		err = ErrLogGone
	}
	return nil, err
}

// written tells whether there is a record in any stream of the promotion's.
func (s *Sale) written(ctx context.Context) (bool, error) {
	ctx, js, err := s.jetStream(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range StreamNames(s.promo.GetUid(), capacity.MaxStreams) {
		stream, err := js.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
		case err != nil:
			return false, fmt.Errorf("looking for stream %s: %w", name, err)
		case stream.CachedInfo().State.LastSeq > 0:
			return true, nil
		}
	}
	return false, nil
}

// told is what the pods were told of the promotion; nil: nothing.
func (s *Sale) told(ctx context.Context) (*flashv1.Promotion, error) {
	ctx, js, err := s.jetStream(ctx)
	if err != nil {
		return nil, err
	}
	return prepare.Published(ctx, js, s.promo.GetUid())
}
