package invoice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

var errNotFound = errors.New("invoice not found")

const selectInvoices = `SELECT invoice_id, order_id, buyer_id, state, version, kind, title, tax_id, email, currency, number, issued_at,
	amount, file, reason, voiding_number, exceeds, created_at, updated_at FROM invoices `

// load reads the invoices that a condition finds, in the query's order.
func load(ctx context.Context, q database.Querier, condition string, args ...any) ([]*Invoice, error) {
	rows, err := q.Query(ctx, selectInvoices+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading invoices: %w", err)
	}
	invoices, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Invoice, error) {
		i := &Invoice{}
		err := row.Scan(&i.ID, &i.OrderID, &i.BuyerID, &i.State, &i.Version, &i.Kind, &i.Title, &i.TaxID, &i.Email, &i.Currency,
			&i.Number, &i.IssuedAt, &i.Amount, &i.File, &i.Reason, &i.VoidingNumber, &i.Exceeds, &i.CreatedAt, &i.UpdatedAt)
		i.stored = i.Version
		return i, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading invoices: %w", err)
	}
	return invoices, nil
}

func get(ctx context.Context, q database.Querier, id uuid.UUID) (*Invoice, error) {
	found, err := load(ctx, q, "WHERE invoice_id = $1", id)
	if err == nil && len(found) == 0 {
		err = errNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// lockAll reads an order's invoices, newest first, and keeps their rows locked until the transaction ends. The order's
// row is locked already, so that no other one comes.
func lockAll(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) ([]*Invoice, error) {
	return load(ctx, tx, "WHERE order_id = $1 ORDER BY created_at DESC, invoice_id DESC FOR UPDATE", orderID)
}

// ofOrders reads the invoices of orders, newest first.
func ofOrders(ctx context.Context, q database.Querier, ids []uuid.UUID) ([]*Invoice, error) {
	return load(ctx, q, "WHERE order_id = ANY ($1) ORDER BY created_at DESC, invoice_id DESC", ids)
}

// filter of a list.
type filter struct {
	// state is any if empty.
	state State
	// exceeding are only those that have to be voided.
	exceeding bool
}

// position is an invoice's place in a list.
type position struct {
	createdAt time.Time
	id        uuid.UUID
}

// list reads all buyers' invoices behind a position, oldest first.
func list(ctx context.Context, q database.Querier, f filter, after position, limit int) ([]*Invoice, error) {
	condition, args := "WHERE (created_at, invoice_id) > ($1, $2)", []any{after.createdAt, after.id, limit}
	switch {
	case f.exceeding:
		condition += " AND exceeds"
	case f.state != "":
		condition, args = condition+" AND state = $4", append(args, string(f.state))
	}
	return load(ctx, q, condition+" ORDER BY created_at, invoice_id LIMIT $3", args...)
}

// insert writes a new invoice with its history.
func insert(ctx context.Context, tx pgx.Tx, i *Invoice, changes []change) error {
	var b pgx.Batch
	b.Queue(`INSERT INTO invoices (invoice_id, order_id, buyer_id, state, version, kind, title, tax_id, email, currency, number, file,
			reason, voiding_number, exceeds, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', '', '', false, $11, $11)`,
		i.ID, i.OrderID, i.BuyerID, string(i.State), i.Version, i.Kind, i.Title, i.TaxID, i.Email, i.Currency, i.CreatedAt)
	queueHistory(&b, i.ID, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing an invoice: %w", err)
	}
	i.stored = i.Version
	return nil
}

// update writes an invoice that is locked, with its history.
func update(ctx context.Context, tx pgx.Tx, i *Invoice, changes []change) error {
	var b pgx.Batch
	b.Queue(`UPDATE invoices SET state = $3, version = $4, kind = $5, title = $6, tax_id = $7, email = $8, number = $9, issued_at = $10,
			amount = $11, file = $12, reason = $13, voiding_number = $14, exceeds = $15, updated_at = $16
		WHERE invoice_id = $1 AND version = $2`,
		i.ID, i.stored, string(i.State), i.Version, i.Kind, i.Title, i.TaxID, i.Email, i.Number, i.IssuedAt,
		i.Amount, i.File, i.Reason, i.VoidingNumber, i.Exceeds, i.UpdatedAt).Exec(database.MustChange(1))
	queueHistory(&b, i.ID, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing invoice %s: %w", i.ID, err)
	}
	i.stored = i.Version
	return nil
}

// queueHistory queues the history of changes.
func queueHistory(b *pgx.Batch, id uuid.UUID, changes []change) {
	for _, c := range changes {
		b.Queue(`INSERT INTO invoice_history (invoice_id, version, event, from_state, to_state, actor, reason, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, c.version, string(c.event), string(c.from), string(c.to), c.actor, c.reason, c.at)
	}
}

// maxHistory is more changes than an invoice can have.
const maxHistory = maxVersion + 10

// historyRow is a row of invoice_history.
type historyRow struct {
	Version       int64
	Event         string
	From, To      State
	Actor, Reason string
	At            time.Time
}

// loadHistory reads an invoice's changes, oldest first.
func loadHistory(ctx context.Context, q database.Querier, id uuid.UUID) ([]historyRow, error) {
	rows, err := q.Query(ctx, `SELECT version, event, from_state, to_state, actor, reason, at FROM invoice_history
		WHERE invoice_id = $1 ORDER BY version LIMIT $2`, id, maxHistory)
	if err != nil {
		return nil, fmt.Errorf("reading the history of invoice %s: %w", id, err)
	}
	history, err := pgx.CollectRows(rows, pgx.RowToStructByPos[historyRow])
	if err != nil {
		return nil, fmt.Errorf("reading the history of invoice %s: %w", id, err)
	}
	return history, nil
}
