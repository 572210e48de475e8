package order

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
)

// maxHistory is more changes than an order can have: its parcels and refunds are
// bounded by its lines.
const maxHistory = 1000

// actorStaff is who acts in the history where staff did; which of them follows it.
const actorStaff = "staff"

// history reads what happened to a buyer's order, oldest first, or is ErrNotFound.
func (s *Store) history(ctx context.Context, buyerID string, id uuid.UUID) ([]*orderv1.OrderChange, error) {
	if _, err := GetDue(ctx, s.pool, buyerID, id); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT version, event, from_state, to_state, actor, reason, at FROM order_history
		WHERE order_id = $1 ORDER BY version LIMIT $2`, id, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("reading an order's history: %w", err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*orderv1.OrderChange, error) {
		c := &orderv1.OrderChange{}
		var from, to State
		var at time.Time
		err := row.Scan(&c.Version, &c.Event, &from, &to, &c.Actor, &c.Reason, &at)
		c.From, c.To, c.At, c.Actor = from.proto(), to.proto(), timestamppb.New(at), forBuyers(c.Actor)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading an order's history: %w", err)
	}
	return changes, nil
}

// forBuyers is an actor without the name of a member of the staff, which the audit and the
// histories for staff have.
func forBuyers(actor string) string {
	if strings.HasPrefix(actor, actorStaff+" ") {
		return actorStaff
	}
	return actor
}
