package shipment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/encoding/protojson"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// errNotFound says that there is no such shipment, or that it is another buyer's or carrier's.
var errNotFound = errors.New("shipment not found")

const selectShipments = `SELECT shipment_id, order_id, buyer_id, source, carrier, tracking_number, state, version, exception, address, delivery_method,
	work, due_at, attempts, events, created_at, shipped_at, delivered_at, fetched_at FROM shipments `

// load reads the shipments that a condition finds, with their lines, in the query's order.
func load(ctx context.Context, q database.Querier, condition string, args ...any) ([]*Shipment, error) {
	rows, err := q.Query(ctx, selectShipments+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading shipments: %w", err)
	}
	shipments, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Shipment, error) {
		s := &Shipment{Address: &addressv1.Address{}}
		var address []byte
		err := row.Scan(&s.ID, &s.OrderID, &s.BuyerID, &s.Source, &s.Carrier, &s.TrackingNumber, &s.State, &s.Version,
			&s.Exception, &address, &s.DeliveryMethod, &s.Work, &s.DueAt, &s.Attempts, &s.Events, &s.CreatedAt, &s.ShippedAt,
			&s.DeliveredAt, &s.FetchedAt)
		if err != nil {
			return nil, err
		}
		s.stored = s.Version
		return s, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(address, s.Address)
	})
	if err != nil {
		return nil, fmt.Errorf("reading shipments: %w", err)
	}
	return shipments, loadLines(ctx, q, shipments)
}

func loadLines(ctx context.Context, q database.Querier, shipments []*Shipment) error {
	if len(shipments) == 0 {
		return nil
	}
	byID := make(map[uuid.UUID]*Shipment, len(shipments))
	ids := make([]uuid.UUID, len(shipments))
	for i, s := range shipments {
		byID[s.ID], ids[i] = s, s.ID
	}
	rows, err := q.Query(
		ctx,
		"SELECT shipment_id, line, sku, title, quantity FROM shipment_lines WHERE shipment_id = ANY ($1) ORDER BY shipment_id, line",
		ids,
	)
	if err != nil {
		return fmt.Errorf("reading shipments' lines: %w", err)
	}
	var id uuid.UUID
	var l Line
	_, err = pgx.ForEachRow(rows, []any{&id, &l.Line, &l.SKU, &l.Title, &l.Quantity}, func() error {
		byID[id].Lines = append(byID[id].Lines, l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading shipments' lines: %w", err)
	}
	return nil
}

func one(shipments []*Shipment, err error) (*Shipment, error) {
	if err == nil && len(shipments) == 0 {
		err = errNotFound
	}
	if err != nil {
		return nil, err
	}
	return shipments[0], nil
}

// lock reads a shipment and keeps its row locked until the transaction ends.
func lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Shipment, error) {
	return one(load(ctx, tx, "WHERE shipment_id = $1 FOR UPDATE", id))
}

func get(ctx context.Context, q database.Querier, id uuid.UUID) (*Shipment, error) {
	return one(load(ctx, q, "WHERE shipment_id = $1", id))
}

// bySource are the shipments of an order that something asked for: one, or none.
func bySource(ctx context.Context, q database.Querier, orderID uuid.UUID, source string) ([]*Shipment, error) {
	return load(ctx, q, "WHERE order_id = $1 AND source = $2", orderID, source)
}

// lockRequested reads and locks an order's shipments that have not left.
func lockRequested(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) ([]*Shipment, error) {
	const condition = "WHERE order_id = $1 AND state = $2 ORDER BY shipment_id FOR UPDATE"
	return load(ctx, tx, condition, orderID, string(Requested))
}

// ofBuyer are the shipments of a buyer's order, oldest first.
func ofBuyer(ctx context.Context, q database.Querier, orderID uuid.UUID, buyerID string) ([]*Shipment, error) {
	const condition = "WHERE order_id = $1 AND buyer_id = $2 ORDER BY created_at, shipment_id LIMIT $3"
	return load(ctx, q, condition, orderID, buyerID, maxShipments)
}

// position is a shipment's place in the list of all.
type position struct {
	createdAt time.Time
	id        uuid.UUID
}

// list reads shipments behind a position, oldest first; an empty order and state are any.
func list(
	ctx context.Context, q database.Querier, after position, orderID, state string, limit int,
) ([]*Shipment, error) {
	condition, args := "WHERE (created_at, shipment_id) > ($1, $2)", []any{after.createdAt, after.id, limit}
	switch {
	case orderID != "":
		// An order has few: their states are compared here.
		condition, args = condition+" AND order_id = $4 AND ($5::text = '' OR state = $5)", append(args, orderID, state)
	case state != "":
		condition, args = condition+" AND state = $4", append(args, state)
	}
	return load(ctx, q, condition+" ORDER BY created_at, shipment_id LIMIT $3", args...)
}

// count is how many shipments an order has had.
func count(ctx context.Context, q database.Querier, orderID uuid.UUID) (int64, error) {
	var n int64
	if err := q.QueryRow(ctx, "SELECT count(*) FROM shipments WHERE order_id = $1", orderID).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting shipments: %w", err)
	}
	return n, nil
}

// insert writes a new shipment with its lines and its first history.
func insert(ctx context.Context, tx pgx.Tx, s *Shipment, changes []change) error {
	address, err := protojson.Marshal(s.Address)
	if err != nil {
		return fmt.Errorf("writing a shipment's address: %w", err)
	}
	n := len(s.Lines)
	lines, quantities := make([]int64, n), make([]int64, n)
	skus, titles := make([]string, n), make([]string, n)
	for i, l := range s.Lines {
		lines[i], skus[i], titles[i], quantities[i] = l.Line, l.SKU, l.Title, l.Quantity
	}
	var b pgx.Batch
	b.Queue(
		`INSERT INTO shipments (shipment_id, order_id, buyer_id, source, carrier, tracking_number, state, version, exception, address, delivery_method,
			bucket, work, due_at, attempts, events, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', $9, $10, $11, $12, $13, 0, 0, $14)`,
		s.ID,
		s.OrderID,
		s.BuyerID,
		s.Source,
		s.Carrier,
		s.TrackingNumber,
		string(s.State),
		s.Version,
		string(address),
		s.DeliveryMethod,
		lease.Bucket(s.OrderID),
		string(s.Work),
		s.DueAt,
		s.CreatedAt,
	)
	b.Queue(`INSERT INTO shipment_lines (shipment_id, line, sku, title, quantity)
		SELECT $1::uuid, line, sku, title, quantity FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[]) AS l (line, sku, title, quantity)`,
		s.ID, lines, skus, titles, quantities)
	queueHistory(&b, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing a shipment: %w", err)
	}
	s.stored = s.Version
	return nil
}

// update writes a shipment that is locked, with its history.
func update(ctx context.Context, tx pgx.Tx, s *Shipment, changes []change) error {
	var b pgx.Batch
	b.Queue(
		`UPDATE shipments SET tracking_number = $3, state = $4, version = $5, exception = $6, work = $7, due_at = $8, attempts = $9, events = $10,
			shipped_at = $11, delivered_at = $12, fetched_at = $13 WHERE shipment_id = $1 AND version = $2`,
		s.ID,
		s.stored,
		s.TrackingNumber,
		string(s.State),
		s.Version,
		s.Exception,
		string(s.Work),
		s.DueAt,
		s.Attempts,
		s.Events,
		s.ShippedAt,
		s.DeliveredAt,
		s.FetchedAt,
	).Exec(database.MustChange(1))
	queueHistory(&b, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing shipment %s: %w", s.ID, err)
	}
	s.stored = s.Version
	return nil
}

func queueHistory(b *pgx.Batch, changes []change) {
	for _, c := range changes {
		b.Queue(
			`INSERT INTO shipment_history (shipment_id, version, event, from_state, to_state, actor, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			c.shipment.ID,
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

// insertEvents stores those of the events that are not there yet, up to a limit, and returns how
// many.
func insertEvents(
	ctx context.Context, tx pgx.Tx, id uuid.UUID, events []carrier.Event, actor string, at time.Time, limit int64,
) (int64, error) {
	seen := make(map[string]bool, len(events))
	var ids, codes, descriptions, locations []string
	var ats []time.Time
	for _, e := range events {
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		ids, codes, ats = append(ids, e.ID), append(codes, string(e.Code)), append(ats, e.At)
		descriptions, locations = append(descriptions, e.Description), append(locations, e.Location)
	}
	if len(ids) == 0 || limit <= 0 {
		return 0, nil
	}
	tag, err := tx.Exec(ctx,
		`INSERT INTO shipment_events (shipment_id, event_id, code, description, location, at, received_at, actor)
		SELECT $1::uuid, event_id, code, description, location, at, $2::timestamptz, $3::text
		FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]) AS e (event_id, code, description, location, at)
		WHERE NOT EXISTS (SELECT 1 FROM shipment_events known WHERE known.shipment_id = $1::uuid AND known.event_id = e.event_id)
		ORDER BY at, event_id LIMIT $9
		ON CONFLICT (shipment_id, event_id) DO NOTHING`, id, at, actor, ids, codes, descriptions, locations, ats, limit)
	if err != nil {
		return 0, fmt.Errorf("storing events of shipment %s: %w", id, err)
	}
	return tag.RowsAffected(), nil
}

// loadEvents reads what was told of a shipment, by its time.
func loadEvents(ctx context.Context, q database.Querier, id uuid.UUID) ([]carrier.Event, error) {
	rows, err := q.Query(ctx, `SELECT event_id, code, description, location, at FROM shipment_events WHERE shipment_id = $1
		ORDER BY at, received_at, event_id LIMIT $2`, id, maxEvents)
	if err != nil {
		return nil, fmt.Errorf("reading events of shipment %s: %w", id, err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[carrier.Event])
	if err != nil {
		return nil, fmt.Errorf("reading events of shipment %s: %w", id, err)
	}
	return events, nil
}

// historyRow is a row of shipment_history.
type historyRow struct {
	Version       int64
	Event         string
	From, To      State
	Actor, Reason string
	At            time.Time
}

func loadHistory(ctx context.Context, q database.Querier, id uuid.UUID) ([]historyRow, error) {
	rows, err := q.Query(ctx,
		`SELECT version, event, from_state, to_state, actor, reason, at FROM shipment_history WHERE shipment_id = $1
		ORDER BY version LIMIT $2`, id, maxEvents)
	if err != nil {
		return nil, fmt.Errorf("reading the history of shipment %s: %w", id, err)
	}
	history, err := pgx.CollectRows(rows, pgx.RowToStructByPos[historyRow])
	if err != nil {
		return nil, fmt.Errorf("reading the history of shipment %s: %w", id, err)
	}
	return history, nil
}

// due are a bucket's shipments with work of one kind whose time has come.
func due(
	ctx context.Context, q database.Querier, work Work, bucket int64, at time.Time, limit int,
) ([]*Shipment, error) {
	// The second condition on work lets the planner use the partial index.
	return load(ctx, q,
		"WHERE work = $1 AND work <> '' AND bucket = $2 AND due_at <= $3 ORDER BY due_at, shipment_id LIMIT $4", string(work),
		bucket, at, limit)
}

// postpone puts a shipment's work off after a failure, unless it has other work meanwhile.
func postpone(ctx context.Context, q database.Querier, s *Shipment, until time.Time) error {
	_, err := q.Exec(ctx, `UPDATE shipments SET attempts = attempts + 1, due_at = $3
		WHERE shipment_id = $1 AND work = $2 AND attempts = $4`, s.ID, string(s.Work), until, s.Attempts)
	if err != nil {
		return fmt.Errorf("putting work on shipment %s off: %w", s.ID, err)
	}
	return nil
}

// OfOrders are the shipments of orders as staff see them, newest first; q is a pool or a transaction.
func OfOrders(ctx context.Context, q database.Querier, ids []uuid.UUID) (map[uuid.UUID][]*shipmentv1.Shipment, error) {
	list, err := load(ctx, q, "WHERE order_id = ANY ($1) ORDER BY created_at DESC, shipment_id DESC", ids)
	if err != nil {
		return nil, err
	}
	found := map[uuid.UUID][]*shipmentv1.Shipment{}
	for _, sh := range list {
		found[sh.OrderID] = append(found[sh.OrderID], sh.proto())
	}
	return found, nil
}
