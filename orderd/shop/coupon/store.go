package coupon

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// StoreOptions of a [Store]. All have to be set.
type StoreOptions struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
	// Random is where coupons' ids and red envelopes come from: crypto/rand's Reader.
	Random io.Reader
}

// Store keeps templates and coupons. Its methods are safe for concurrent use if the random source is.
type Store struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	random io.Reader
}

// NewStore makes the store.
func NewStore(o StoreOptions) *Store { return &Store{pool: o.Pool, now: o.Clock, random: o.Random} }

// lockByID reads coupons and keeps their rows locked until the transaction ends, in
// the order of their ids.
func lockByID(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]*Coupon, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	coupons, err := read(ctx, tx, lockSQL+"WHERE c.coupon_id = ANY ($1) ORDER BY c.coupon_id FOR UPDATE OF c", ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]*Coupon, len(coupons))
	for _, c := range coupons {
		byID[c.ID] = c
	}
	return byID, nil
}

// lockByOrder is lockByID for the coupons that orders hold or have used.
func lockByOrder(ctx context.Context, tx pgx.Tx, orderIDs []uuid.UUID) ([]*Coupon, error) {
	if len(orderIDs) == 0 {
		return nil, nil
	}
	return read(ctx, tx, lockSQL+"WHERE c.order_id = ANY ($1) ORDER BY c.coupon_id FOR UPDATE OF c", orderIDs)
}

const lockSQL = "SELECT " + couponColumns + ` FROM coupons c
	JOIN coupon_terms t ON t.template = c.template AND t.revision = c.revision `

// write stores changes of locked coupons, and their history.
func write(ctx context.Context, tx pgx.Tx, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	n := len(changes)
	ids, states, versions, orders := make([]uuid.UUID, n), make([]string, n), make([]int64, n), make([]*uuid.UUID, n)
	for i, ch := range changes {
		c := ch.coupon
		ids[i], states[i], versions[i], orders[i] = c.ID, string(c.State), c.Version, optional(c.OrderID)
	}
	var b pgx.Batch
	b.Queue(`UPDATE coupons SET state = v.state, version = v.version, order_id = v.order_id
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[]) AS v (coupon_id, state, version, order_id)
		WHERE coupons.coupon_id = v.coupon_id AND coupons.version = v.version - 1`, ids, states, versions, orders).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("%d coupons changed, want %d", tag.RowsAffected(), n)
		}
		return nil
	})
	queueHistory(&b, changes)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("changing coupons: %w", err)
	}
	return nil
}

func queueHistory(b *pgx.Batch, changes []change) {
	n := len(changes)
	ids, versions, orders, ats := make([]uuid.UUID, n), make([]int64, n), make([]*uuid.UUID, n), make([]time.Time, n)
	events, froms, tos := make([]string, n), make([]string, n), make([]string, n)
	actors, reasons := make([]string, n), make([]string, n)
	for i, ch := range changes {
		ids[i], versions[i], orders[i], ats[i] = ch.coupon.ID, ch.coupon.Version, optional(ch.orderID), ch.at
		events[i], froms[i], tos[i] = string(ch.event), string(ch.from), string(ch.coupon.State)
		actors[i], reasons[i] = ch.actor, ch.reason
	}
	b.Queue(`INSERT INTO coupon_history (coupon_id, version, event, from_state, to_state, actor, reason, order_id, at)
		SELECT coupon_id, version, event, from_state, to_state, actor, reason, order_id, at
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::timestamptz[])
			AS h (coupon_id, version, event, from_state, to_state, actor, reason, order_id, at)`,
		ids, versions, events, froms, tos, actors, reasons, orders, ats)
}

// optional is NULL in the database for uuid.Nil.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

const couponColumns = `c.coupon_id, c.buyer_id, c.state, c.version, c.amount, c.valid_from, c.valid_until, c.order_id,
	c.claimed_at, c.template, c.revision, t.terms`

// read collects the coupons that a query finds. Coupons of the same terms share them.
func read(ctx context.Context, q database.Querier, sql string, args ...any) ([]*Coupon, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading coupons: %w", err)
	}
	type key struct {
		template string
		revision int64
	}
	known := make(map[key]*Terms)
	coupons, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Coupon, error) {
		c := &Coupon{}
		var k key
		var orderID *uuid.UUID
		var raw []byte
		if err := row.Scan(&c.ID, &c.BuyerID, &c.State, &c.Version, &c.Amount, &c.ValidFrom, &c.ValidUntil, &orderID,
			&c.ClaimedAt, &k.template, &k.revision, &raw); err != nil {
			return nil, err
		}
		if orderID != nil {
			c.OrderID = *orderID
		}
		if c.Terms = known[k]; c.Terms == nil {
			if c.Terms, err = parseTerms(raw, k.revision); err != nil {
				return nil, err
			}
			known[k] = c.Terms
		}
		return c, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading coupons: %w", err)
	}
	return coupons, nil
}

func parseTerms(raw []byte, revision int64) (*Terms, error) {
	t := &couponv1.CouponTemplate{}
	if err := proto.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("reading a template's terms: %w", err)
	}
	return termsOf(t, revision), nil
}
