package returns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

var errNotFound = errors.New("return not found")

const selectReturns = `SELECT return_id, order_id, buyer_id, kind, unshipped, state, version, reason, description, pictures, rejection,
	carrier, tracking_number, currency, refund, created_at, updated_at FROM returns `

// load reads the returns that a condition finds, with their lines, in the query's order.
func load(ctx context.Context, q database.Querier, condition string, args ...any) ([]*Return, error) {
	rows, err := q.Query(ctx, selectReturns+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading returns: %w", err)
	}
	returns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Return, error) {
		r := &Return{}
		err := row.Scan(&r.ID, &r.OrderID, &r.BuyerID, &r.Kind, &r.Unshipped, &r.State, &r.Version, &r.Reason, &r.Description,
			&r.Pictures, &r.Rejection, &r.Carrier, &r.TrackingNumber, &r.Currency, &r.Refund, &r.CreatedAt, &r.UpdatedAt)
		r.stored = r.Version
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading returns: %w", err)
	}
	return returns, loadLines(ctx, q, returns)
}

func loadLines(ctx context.Context, q database.Querier, returns []*Return) error {
	if len(returns) == 0 {
		return nil
	}
	byID := make(map[uuid.UUID]*Return, len(returns))
	ids := make([]uuid.UUID, len(returns))
	for i, r := range returns {
		byID[r.ID], ids[i] = r, r.ID
	}
	rows, err := q.Query(
		ctx,
		"SELECT return_id, line, sku, title, quantity, restock, refund FROM return_lines WHERE return_id = ANY ($1) ORDER BY return_id, line",
		ids,
	)
	if err != nil {
		return fmt.Errorf("reading returns' lines: %w", err)
	}
	var id uuid.UUID
	var l Line
	_, err = pgx.ForEachRow(rows, []any{&id, &l.Line, &l.SKU, &l.Title, &l.Quantity, &l.Restock, &l.Refund}, func() error {
		byID[id].Lines = append(byID[id].Lines, l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading returns' lines: %w", err)
	}
	return nil
}

func one(returns []*Return, err error) (*Return, error) {
	if err == nil && len(returns) == 0 {
		err = errNotFound
	}
	if err != nil {
		return nil, err
	}
	return returns[0], nil
}

// lock reads a return and keeps its row locked until the transaction ends.
func lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Return, error) {
	return one(load(ctx, tx, "WHERE return_id = $1 FOR UPDATE", id))
}

func get(ctx context.Context, q database.Querier, id uuid.UUID) (*Return, error) {
	return one(load(ctx, q, "WHERE return_id = $1", id))
}

// position is a return's place in a list.
type position struct {
	createdAt time.Time
	id        uuid.UUID
}

// listOfBuyer reads a buyer's returns before a position, newest first; an empty order is any.
func listOfBuyer(
	ctx context.Context, q database.Querier, buyerID, orderID string, before position, limit int,
) ([]*Return, error) {
	condition := "WHERE buyer_id = $1 AND (created_at, return_id) < ($2, $3)"
	args := []any{buyerID, before.createdAt, before.id, limit}
	if orderID != "" {
		// A buyer has few in one order: their order is compared here.
		condition, args = condition+" AND order_id = $5", append(args, orderID)
	}
	return load(ctx, q, condition+" ORDER BY created_at DESC, return_id DESC LIMIT $4", args...)
}

// list reads all buyers' returns behind a position, oldest first; an empty state is any.
func list(ctx context.Context, q database.Querier, state string, after position, limit int) ([]*Return, error) {
	condition, args := "WHERE (created_at, return_id) > ($1, $2)", []any{after.createdAt, after.id, limit}
	if state != "" {
		condition, args = condition+" AND state = $4", append(args, state)
	}
	return load(ctx, q, condition+" ORDER BY created_at, return_id LIMIT $3", args...)
}

// withOpen are those of the orders that have an open return.
func withOpen(ctx context.Context, q database.Querier, orderIDs []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := q.Query(ctx, "SELECT DISTINCT order_id FROM returns WHERE order_id = ANY ($1) AND state = ANY ($2)",
		orderIDs, open())
	if err != nil {
		return nil, fmt.Errorf("reading open returns: %w", err)
	}
	found := map[uuid.UUID]bool{}
	var id uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { found[id] = true; return nil }); err != nil {
		return nil, fmt.Errorf("reading open returns: %w", err)
	}
	return found, nil
}

// spokenFor are the units of an order in open returns. The order is locked, so that
// nobody adds to them.
type spokenFor map[spokenKey]int64

type spokenKey struct {
	line      int64
	unshipped bool
}

// count reads what is spoken for in an order, and how many returns it has had.
func count(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) (spokenFor, int64, error) {
	var all int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM returns WHERE order_id = $1", orderID).Scan(&all); err != nil {
		return nil, 0, fmt.Errorf("counting returns: %w", err)
	}
	rows, err := tx.Query(ctx,
		`SELECT l.line, r.unshipped, sum(l.quantity)::bigint FROM returns r JOIN return_lines l ON l.return_id = r.return_id
		WHERE r.order_id = $1 AND r.state = ANY ($2) GROUP BY l.line, r.unshipped`, orderID, open())
	if err != nil {
		return nil, 0, fmt.Errorf("counting units in returns: %w", err)
	}
	out := spokenFor{}
	var k spokenKey
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&k.line, &k.unshipped, &n}, func() error {
		out[k] = n
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("counting units in returns: %w", err)
	}
	return out, all, nil
}

// insert writes a new return with its lines and its first history.
func insert(ctx context.Context, tx pgx.Tx, r *Return, changes []change) error {
	n := len(r.Lines)
	lines, quantities, restocks := make([]int64, n), make([]int64, n), make([]int64, n)
	skus, titles := make([]string, n), make([]string, n)
	for i, l := range r.Lines {
		lines[i], skus[i], titles[i], quantities[i], restocks[i] = l.Line, l.SKU, l.Title, l.Quantity, l.Restock
	}
	var b pgx.Batch
	b.Queue(
		`INSERT INTO returns (return_id, order_id, buyer_id, kind, unshipped, state, version, reason, description, pictures, rejection,
			carrier, tracking_number, currency, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text[], '', '', '', $11, $12, $12)`,
		r.ID,
		r.OrderID,
		r.BuyerID,
		string(r.Kind),
		r.Unshipped,
		string(r.State),
		r.Version,
		r.Reason,
		r.Description,
		r.Pictures,
		r.Currency,
		r.CreatedAt,
	)
	b.Queue(`INSERT INTO return_lines (return_id, line, sku, title, quantity, restock, refund)
		SELECT $1::uuid, line, sku, title, quantity, restock, 0
		FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[]) AS l (line, sku, title, quantity, restock)`,
		r.ID, lines, skus, titles, quantities, restocks)
	queueHistory(&b, r.ID, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing a return: %w", err)
	}
	r.stored = r.Version
	return nil
}

// update writes a return that is locked, with its lines and its history.
func update(ctx context.Context, tx pgx.Tx, r *Return, changes []change) error {
	n := len(r.Lines)
	lines, restocks, refunds := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, l := range r.Lines {
		lines[i], restocks[i], refunds[i] = l.Line, l.Restock, l.Refund
	}
	var b pgx.Batch
	b.Queue(
		`UPDATE returns SET state = $3, version = $4, rejection = $5, carrier = $6, tracking_number = $7, refund = $8, updated_at = $9
		WHERE return_id = $1 AND version = $2`,
		r.ID,
		r.stored,
		string(r.State),
		r.Version,
		r.Rejection,
		r.Carrier,
		r.TrackingNumber,
		r.Refund,
		r.UpdatedAt,
	).Exec(database.MustChange(1))
	b.Queue(`UPDATE return_lines SET restock = v.restock, refund = v.refund
		FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS v (line, restock, refund)
		WHERE return_lines.return_id = $1 AND return_lines.line = v.line`, r.ID, lines, restocks, refunds).Exec(database.MustChange(n))
	queueHistory(&b, r.ID, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing return %s: %w", r.ID, err)
	}
	r.stored = r.Version
	return nil
}

func queueHistory(b *pgx.Batch, id uuid.UUID, changes []change) {
	for _, c := range changes {
		b.Queue(
			`INSERT INTO return_history (return_id, version, event, from_state, to_state, actor, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id,
			c.version,
			string(c.event),
			string(c.from),
			string(c.to),
			c.actor,
			c.reason,
			c.at,
		)
	}
}

// maxHistory is how many of a return's changes are read.
const maxHistory = 500

// historyRow is a row of return_history.
type historyRow struct {
	Version       int64
	Event         string
	From, To      State
	Actor, Reason string
	At            time.Time
}

// loadHistory reads a return's last changes, oldest first.
func loadHistory(ctx context.Context, q database.Querier, id uuid.UUID) ([]historyRow, error) {
	rows, err := q.Query(ctx, `SELECT version, event, from_state, to_state, actor, reason, at FROM
		(SELECT version, event, from_state, to_state, actor, reason, at FROM return_history WHERE return_id = $1 ORDER BY version DESC LIMIT $2) AS h
		ORDER BY version`, id, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("reading the history of return %s: %w", id, err)
	}
	history, err := pgx.CollectRows(rows, pgx.RowToStructByPos[historyRow])
	if err != nil {
		return nil, fmt.Errorf("reading the history of return %s: %w", id, err)
	}
	return history, nil
}

// OfOrders are the returns of orders as staff see them, newest first; q is a pool or a transaction.
func OfOrders(ctx context.Context, q database.Querier, ids []uuid.UUID) (map[uuid.UUID][]*returnsv1.Return, error) {
	list, err := load(ctx, q, "WHERE order_id = ANY ($1) ORDER BY created_at DESC, return_id DESC", ids)
	if err != nil {
		return nil, err
	}
	found := map[uuid.UUID][]*returnsv1.Return{}
	for _, r := range list {
		found[r.OrderID] = append(found[r.OrderID], r.proto())
	}
	return found, nil
}
