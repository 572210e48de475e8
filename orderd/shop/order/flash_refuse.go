package order

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

const (
	// reasonUnwritable is the reason of a release whose order is not in the database.
	reasonUnwritable = "UNWRITABLE"
	// maxRefusal bounds what is kept of why an order is refused, in bytes.
	maxRefusal = 500
)

// UnwritableError says that some of a call's orders can never be written to the database. None of
// the call's orders was written; the others may be tried again without these.
type UnwritableError struct {
	// Orders has why, by order id. Empty: one of the orders or more, and only the
	// database knows which.
	Orders map[uuid.UUID]string
	cause  error
}

// Error says how many, and why the first by id.
func (e *UnwritableError) Error() string {
	if e.cause != nil {
		return "orders can never be written: " + e.cause.Error()
	}
	if len(e.Orders) == 0 {
		return "orders can never be written"
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(e.Orders)), compareIDs)
	return fmt.Sprintf("%d orders can never be written, order %s because %s", len(e.Orders), first, e.Orders[first])
}

// Unwrap is the database's error, if it was the one that refused.
func (e *UnwritableError) Unwrap() error { return e.cause }

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

// unwritableData turns an error of the data itself into an [*UnwritableError]: a value that the
// database cannot hold (class 22) or a constraint (class 23). Every other error may pass, at the
// latest when somebody repairs the database.
func unwritableData(err error, wanted []change) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !strings.HasPrefix(pg.Code, "22") && !strings.HasPrefix(pg.Code, "23") {
		return err
	}
	unwritable := &UnwritableError{cause: err}
	if len(wanted) == 1 {
		unwritable.Orders = map[uuid.UUID]string{
			wanted[0].order.ID: fmt.Sprintf("the database refuses it: %s (%s)", pg.Message, pg.Code),
		}
	}
	return unwritable
}

// Unwritable is an order that can never be written to the database, and why.
type Unwritable struct {
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

// Refuse decides for good, in one transaction, that orders are not written: the [Releaser] gives
// their stock back, and [Store.Materialize] refuses them from now on, even if what was wrong is
// mended. It returns which of the orders are refused, by this call or by one before; the others are
// in the database. It may be repeated.
func (s *Store) Refuse(ctx context.Context, orders []Unwritable) (map[uuid.UUID]bool, error) {
	rows := make([]unwritableRow, len(orders))
	for i, u := range orders {
		raw, err := proto.Marshal(u.Order.Reservation())
		if err != nil {
			return nil, fmt.Errorf("encoding unwritable order %s: %w", u.Order.OrderID, err)
		}
		rows[i] = unwritableRow{
			OrderID: u.Order.OrderID, Reservation: raw, promotionUID: u.Order.PromotionUID, reason: storable(u.Reason),
		}
	}
	slices.SortFunc(rows, func(a, b unwritableRow) int { return compareIDs(a.OrderID, b.OrderID) })
	refused, err := database.QueryTx(ctx, s.pool, func(tx *database.Tx) (map[uuid.UUID]bool, error) {
		return refuse(ctx, tx, rows, s.now())
	})
	if err != nil {
		return nil, fmt.Errorf("refusing %d orders: %w", len(orders), err)
	}
	return refused, nil
}

// storable is a text as any database takes it.
func storable(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "?")
	if len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal], "")
	}
	return text
}

// unwritableRow is an unwritable order as flash_releases keeps it.
type unwritableRow struct {
	OrderID uuid.UUID
	// Reservation is the order as the flash lane's log has it.
	Reservation []byte
	// promotionUID and reason are not read back.
	promotionUID, reason string
}

func (u unwritableRow) decode() (*flashv1.Reservation, error) {
	r := &flashv1.Reservation{}
	if err := proto.Unmarshal(u.Reservation, r); err != nil {
		return nil, fmt.Errorf("decoding unwritable order %s: %w", u.OrderID, err)
	}
	return r, nil
}
