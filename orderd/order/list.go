package order

import (
	"bytes"
	"context"
	"encoding/base64"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 20

// list reads a page of a buyer's orders, newest first, below an id and inside the range of the
// buyer's ids, which is one range of the primary key. Another buyer whose hash is the same is told apart by name.
func (s *Store) list(ctx context.Context, buyerID string, first, below uuid.UUID, size int) ([]*Order, error) {
	return load(ctx, s.pool, "WHERE order_id >= $1 AND order_id < $2 AND buyer_id = $3 ORDER BY order_id DESC LIMIT $4", first, below, buyerID, size)
}

// pageToken names the last order of a page.
func pageToken(last uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(last[:]) }

// parsePageToken takes only what pageToken made for the same buyer.
func parsePageToken(token string, first, last uuid.UUID) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != len(uuid.UUID{}) || bytes.Compare(raw, first[:]) < 0 || bytes.Compare(raw, last[:]) > 0 {
		return uuid.Nil, rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer to this buyer's ListOrders", "field", "page_token")
	}
	return uuid.UUID(raw), nil
}
