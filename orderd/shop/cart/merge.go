package cart

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"

	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Guests verifies tokens.
type Guests interface {
	// Verify returns whose token it is, and whether that is a guest. An error is one of rpcerr's;
	// UNAVAILABLE if the token could not be checked now.
	Verify(ctx context.Context, token string) (subject string, guest bool, err error)
}

// errUnproven says that a merge that was not made before has no guest's token.
var errUnproven = errors.New("no guest's token")

// MergeCart moves a guest's cart into a buyer's, once a request id. A retry gets its first answer
// also when the guest's token is over by then.
func (s *Service) MergeCart(ctx context.Context, req *cartv1.MergeCartRequest) (*cartv1.MergeCartResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	// Verifying may ask the issuer for its keys, so it comes before the transaction.
	subject, guest, refused := s.guests.Verify(ctx, req.GetGuestToken())
	answer := &cartv1.MergeCartResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		if refused != nil || !guest {
			return errUnproven
		}
		return s.merge(ctx, tx, request, req.GetBuyerId(), subject, answer)
	})
	if errors.Is(err, errUnproven) {
		return nil, unproven(refused)
	}
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

func (s *Service) merge(
	ctx context.Context, tx pgx.Tx, request idempotency.Request, buyerID, guestID string, answer *cartv1.MergeCartResponse,
) error {
	now := database.Stamp(s.now())
	answer.MergedLines, answer.DroppedSkus = 0, nil
	var b pgx.Batch
	if guestID == buyerID {
		// A guest who is still the same has nothing to move.
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	}
	if err := lockCarts(ctx, tx, now, buyerID, guestID); err != nil {
		return err
	}
	carts, err := lockItems(ctx, tx, buyerID, guestID)
	if err != nil {
		return err
	}
	changed, dropped := merge(carts[buyerID], carts[guestID])
	answer.MergedLines, answer.DroppedSkus = int64(len(changed)), dropped
	if err := request.Claim(&b, now, answer); err != nil {
		return err
	}
	queueWrite(&b, buyerID, changed)
	queueRemove(&b, guestID, skusOf(carts[guestID]))
	return tx.SendBatch(ctx, &b).Close()
}

// unproven hides why a token is no good, but says when trying again may help.
func unproven(refused error) error {
	var known *connect.Error
	if errors.As(refused, &known) && known.Code() == connect.CodeUnavailable {
		return known
	}
	return rpcerr.New(connect.CodePermissionDenied, rpcerr.ReasonGuestTokenInvalid,
		"guest_token is no valid token of a guest", "field", "guest_token")
}
