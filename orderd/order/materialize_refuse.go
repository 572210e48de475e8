package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/lease"
)

const (
	// reasonUnwritable is the reason of a release whose order is not in the database.
	reasonUnwritable = "UNWRITABLE"
	// maxRefusal bounds what is kept of why an order is refused, in bytes.
	maxRefusal = 500
)

// RefusedError says that some of a call's orders can never be written. None of the call's was; the others
// may be tried again without these.
type RefusedError struct {
	// Orders has why, by order id. Empty: one of the orders or more, and only the database knows which.
	Orders map[uuid.UUID]string
	cause  error
}

// Error says how many, and why the first by id.
func (e *RefusedError) Error() string {
	if e.cause != nil {
		return "refused for good: " + e.cause.Error()
	}
	if len(e.Orders) == 0 {
		return "refused for good"
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(e.Orders)), compareIDs)
	return fmt.Sprintf("%d orders refused for good, order %s because %s", len(e.Orders), first, e.Orders[first])
}

// Unwrap is the database's error, if it was the one that refused.
func (e *RefusedError) Unwrap() error { return e.cause }

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

// refusedByData turns an error of the data itself into a RefusedError: a value that the database cannot hold (class
// 22) or a constraint (class 23). Everything else may pass, at the latest when somebody repairs the database.
func refusedByData(err error, wanted []change) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !strings.HasPrefix(pg.Code, "22") && !strings.HasPrefix(pg.Code, "23") {
		return err
	}
	refused := &RefusedError{cause: err}
	if len(wanted) == 1 {
		refused.Orders = map[uuid.UUID]string{wanted[0].order.ID: fmt.Sprintf("the database refuses it: %s (%s)", pg.Message, pg.Code)}
	}
	return refused
}

// Refusal is an order that can never be written, and why.
type Refusal struct {
	Order  Accepted
	Reason string
}

// Reservation is the order as the flash lane's log has it.
func (a Accepted) Reservation() *flashv1.Reservation {
	r := &flashv1.Reservation{
		OrderId: a.OrderID[:], BuyerId: a.BuyerID, RequestId: a.RequestID, Currency: a.Currency,
		AcceptedAtUnixMs: a.AcceptedAt.UnixMilli(), ExpiresAtUnixMs: a.ExpiresAt.UnixMilli(),
		Items: make([]*flashv1.ReservedItem, len(a.Items)),
	}
	for i, item := range a.Items {
		r.Items[i] = &flashv1.ReservedItem{Sku: item.SKU, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
	}
	return r
}

// placeholderSQL takes the orders' places, so that a transaction that writes one of them at the same moment and this one do
// not both commit: the second waits for the first at the primary key. It returns the orders that are not written.
const placeholderSQL = `INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket, created_at, expires_at)
	SELECT order_id, '', 'CANCELLED', 0, '', 0, '', '', 0, $2::timestamptz, $2::timestamptz FROM unnest($1::uuid[]) AS o (order_id)
	ON CONFLICT (order_id) DO NOTHING RETURNING order_id`

const refuseSQL = `INSERT INTO flash_releases (order_id, promotion_uid, buyer_id, reason, bucket, outcome, attempts, next_attempt_at, created_at, reservation, refusal)
	SELECT order_id, promotion_uid, '', 'UNWRITABLE', bucket, 'PENDING', 0, $6::timestamptz, $6::timestamptz, reservation, refusal
	FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[], $5::text[]) AS r (order_id, promotion_uid, bucket, reservation, refusal)
	ON CONFLICT (order_id) DO NOTHING`

// Refuse decides for good, in one transaction, that orders are not written: the Releaser gives their stock back, and
// Materialize refuses them from now on, whatever became of the reason. It returns which of them are refused, by this call or one
// before; the others are in the database. It may be repeated.
func (s *Store) Refuse(ctx context.Context, refusals []Refusal) (map[uuid.UUID]bool, error) {
	ordered := slices.SortedFunc(slices.Values(refusals), func(a, b Refusal) int { return compareIDs(a.Order.OrderID, b.Order.OrderID) })
	n := len(ordered)
	ids, uids, buckets, reservations, reasons := make([]uuid.UUID, n), make([]string, n), make([]int64, n), make([][]byte, n), make([]string, n)
	for i, r := range ordered {
		raw, err := proto.Marshal(r.Order.Reservation())
		if err != nil {
			return nil, fmt.Errorf("encoding refused order %s: %w", r.Order.OrderID, err)
		}
		ids[i], uids[i], buckets[i], reservations[i] = r.Order.OrderID, r.Order.PromotionUID, lease.Bucket(r.Order.OrderID), raw
		reasons[i] = storable(r.Reason)
	}
	var refused map[uuid.UUID]bool
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		refused = make(map[uuid.UUID]bool, n)
		rows, err := tx.Query(ctx, placeholderSQL, ids, s.now())
		if err != nil {
			return err
		}
		unwritten, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(unwritten) == 0 {
			return err
		}
		for _, id := range unwritten {
			refused[id] = true
		}
		keep := func(i int) bool { return refused[ids[i]] }
		var b pgx.Batch
		b.Queue("DELETE FROM orders WHERE order_id = ANY ($1)", unwritten)
		b.Queue(refuseSQL, only(ids, keep), only(uids, keep), only(buckets, keep), only(reservations, keep), only(reasons, keep), s.now())
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("refusing %d orders: %w", n, err)
	}
	return refused, nil
}

// only are the elements whose index is kept.
func only[T any](list []T, keep func(int) bool) []T {
	out := make([]T, 0, len(list))
	for i, v := range list {
		if keep(i) {
			out = append(out, v)
		}
	}
	return out
}

// storable is a text as any database takes it.
func storable(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "?")
	if len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal], "")
	}
	return text
}

// queueRefused asks which of the orders were refused before. It has to come after the statement that writes them, see
// placeholderSQL.
func queueRefused(b *pgx.Batch, ids []uuid.UUID, into map[uuid.UUID]string) {
	b.Queue("SELECT order_id, refusal FROM flash_releases WHERE order_id = ANY ($1) AND reservation IS NOT NULL", ids).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var refusal string
		_, err := pgx.ForEachRow(rows, []any{&id, &refusal}, func() error {
			into[id] = cmp.Or(refusal, "it was refused before")
			return nil
		})
		return err
	})
}

// unwritable is a refused order as flash_releases keeps it.
type unwritable struct {
	OrderID     uuid.UUID
	Reservation []byte
}

func (u unwritable) decode() (*flashv1.Reservation, error) {
	r := &flashv1.Reservation{}
	if err := proto.Unmarshal(u.Reservation, r); err != nil {
		return nil, fmt.Errorf("decoding refused order %s: %w", u.OrderID, err)
	}
	return r, nil
}
