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
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// maxHistory is more changes than an order can have: its parcels and refunds are bounded by its lines, and
// staff's notes and tags end at maxNoted.
const maxHistory = 1000

// history reads what happened to a buyer's order, oldest first, or is ErrNotFound.
func (s *Store) history(ctx context.Context, buyerID string, id uuid.UUID) ([]*orderv1.OrderChange, error) {
	if _, err := GetDue(ctx, s.pool, buyerID, id); err != nil {
		return nil, err
	}
	changes, err := History(ctx, s.pool, id)
	return forBuyers(changes), err
}

// forBuyers is a history without who of the staff acted and what they wrote about it for colleagues.
func forBuyers(changes []*orderv1.OrderChange) []*orderv1.OrderChange {
	shown := changes[:0]
	for _, c := range changes {
		if c.GetEvent() == string(Tag) || c.GetEvent() == string(AddNote) {
			continue
		}
		if strings.HasPrefix(c.GetActor(), auth.ActorStaff) {
			c.Actor, c.Reason = auth.ActorStaff, ""
		}
		shown = append(shown, c)
	}
	return shown
}

// History is what happened to an order, oldest first, as staff see it; none if there is no such order.
func History(ctx context.Context, q database.Querier, id uuid.UUID) ([]*orderv1.OrderChange, error) {
	rows, err := q.Query(ctx, `SELECT version, event, from_state, to_state, actor, reason, at FROM order_history
		WHERE order_id = $1 ORDER BY version LIMIT $2`, id, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("reading an order's history: %w", err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*orderv1.OrderChange, error) {
		c := &orderv1.OrderChange{}
		var from, to State
		var at time.Time
		err := row.Scan(&c.Version, &c.Event, &from, &to, &c.Actor, &c.Reason, &at)
		c.From, c.To, c.At = from.proto(), to.proto(), timestamppb.New(at)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading an order's history: %w", err)
	}
	return changes, nil
}

// Noted are those of the orders that have a note.
func Noted(ctx context.Context, q database.Querier, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := q.Query(ctx, "SELECT DISTINCT order_id FROM order_notes WHERE order_id = ANY ($1)", ids)
	if err != nil {
		return nil, fmt.Errorf("looking for notes: %w", err)
	}
	found := map[uuid.UUID]bool{}
	var id uuid.UUID
	if _, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		found[id] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("looking for notes: %w", err)
	}
	return found, nil
}

// Notes are what staff wrote about orders, newest first; q is a pool or a transaction.
func Notes(ctx context.Context, q database.Querier, ids []uuid.UUID) (map[uuid.UUID][]Note, error) {
	rows, err := q.Query(ctx,
		"SELECT order_id, text, author, at FROM order_notes WHERE order_id = ANY ($1) ORDER BY order_id, version DESC", ids)
	if err != nil {
		return nil, fmt.Errorf("reading notes: %w", err)
	}
	found := map[uuid.UUID][]Note{}
	var id uuid.UUID
	var n Note
	if _, err = pgx.ForEachRow(rows, []any{&id, &n.Text, &n.Author, &n.At}, func() error {
		found[id] = append(found[id], n)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading notes: %w", err)
	}
	return found, nil
}
