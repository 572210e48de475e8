package invoice

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	actorBuyer = "buyer"
	// actorOrder: it follows from what happened to the order.
	actorOrder = "order"
)

// work is what one transaction does to one invoice, whose order is locked.
type work struct {
	service *Service
	tx      *database.Tx
	at      time.Time
	order   *order.Order
	invoice *Invoice
	changes []change
}

// newWork is for an invoice that is locked, or new. What it changes is counted after the commit.
func (s *Service) newWork(tx *database.Tx, at time.Time, o *order.Order, i *Invoice) *work {
	w := &work{service: s, tx: tx, at: at, order: o, invoice: i}
	tx.AfterCommit(func() {
		for _, c := range w.changes {
			s.changes.WithLabelValues(string(c.event)).Inc()
		}
	})
	return w
}

// lock reads an invoice and its order and keeps both rows locked until the transaction ends. Which order it is of
// never changes, so that the order can be locked first.
func (s *Service) lock(ctx context.Context, tx *database.Tx, id uuid.UUID) (*work, error) {
	known, err := get(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	o, err := order.Lock(ctx, tx, known.OrderID)
	if err != nil {
		return nil, err
	}
	all, err := lockAll(ctx, tx, o.ID)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.ID == id {
			return s.newWork(tx, database.Stamp(s.now()), o, i), nil
		}
	}
	return nil, errNotFound
}

// asRead refuses if the invoice was changed since the caller has read it.
func (w *work) asRead(version int64) error {
	if now := w.invoice.stored; version != now {
		return rpcerr.New(connect.CodeAborted, rpcerr.ReasonInvoiceChanged,
			"what was asked for was changed meanwhile; look at it again", "version", strconv.FormatInt(now, 10))
	}
	return nil
}

func (w *work) step(event Event, actor, reason string) error {
	c, err := step(w.invoice, event, w.at, actor, reason)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, c)
	return nil
}

// write writes a locked invoice and announces it.
func (w *work) write(ctx context.Context) error {
	if err := update(ctx, w.tx, w.invoice, w.changes); err != nil {
		return err
	}
	return w.announce(ctx)
}

func (w *work) announce(ctx context.Context) error {
	return w.service.orders.Announce(ctx, w.tx, w.at, w.order.ID, "invoice_changed",
		func(o *orderv1.Order) proto.Message {
			return &orderv1.OrderInvoiceChanged{Order: o, InvoiceId: w.invoice.ID.String(), State: string(w.invoice.State)}
		})
}

// request makes an invoice of a buyer's order, or changes the one that is asked for.
func (s *Service) request(
	ctx context.Context, tx *database.Tx, req *invoicev1.RequestInvoiceRequest,
) (*invoicev1.Invoice, error) {
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, order.ErrNotFound
	}
	o, err := order.Lock(ctx, tx, orderID)
	if err != nil {
		return nil, err
	}
	if o.BuyerID != req.GetBuyerId() {
		return nil, order.ErrNotFound
	}
	had, err := lockAll(ctx, tx, o.ID)
	if err != nil {
		return nil, err
	}
	at, wish := database.Stamp(s.now()), newWish(req.GetInvoice())
	if err := allowed(o, had, at); err != nil {
		return nil, err
	}
	if open := openOf(had); open != nil {
		return s.newWork(tx, at, o, open).change(ctx, wish)
	}
	w, err := s.create(ctx, tx, at, o, wish, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return w.invoice.proto(leftOf(o)), nil
}

// change makes something else of what was asked for.
func (w *work) change(ctx context.Context, wish Wish) (*invoicev1.Invoice, error) {
	if wish == w.invoice.Wish {
		return w.invoice.proto(leftOf(w.order)), nil
	}
	if w.invoice.Version >= maxVersion {
		return nil, tooMany(maxVersion)
	}
	if err := w.step(Change, actorOf(ctx), ""); err != nil {
		return nil, err
	}
	w.invoice.Wish = wish
	return w.invoice.proto(leftOf(w.order)), w.write(ctx)
}

// allowed tells whether an order may have an invoice now, or another text on the one that is asked for; had are all
// that it had.
func allowed(o *order.Order, had []*Invoice, at time.Time) error {
	if !invoiced(o.State) {
		return order.Conflict(o.State)
	}
	if leftOf(o) <= 0 {
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonNothingToInvoice,
			"the order cost nothing, or all that was paid is refunded")
	}
	open := openOf(had)
	// Who had one in time gets one of what is left.
	hadOne := slices.ContainsFunc(had, func(i *Invoice) bool { return i.State == Voided })
	switch {
	case open != nil && open.State == Issued:
		return stateConflict(open.State)
	case open != nil:
		return nil
	case len(had) >= maxInvoices:
		return tooMany(maxInvoices)
	case !hadOne && at.Sub(*o.PaidAt) > Window:
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonInvoiceWindowClosed,
			"the time to ask for an invoice is over")
	}
	return nil
}

func tooMany(most int) error {
	return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyInvoices,
		"the order has had too many invoices, or its invoice too many changes", "most", strconv.Itoa(most))
}

// create writes a new invoice of a locked order, and announces it.
func (s *Service) create(
	ctx context.Context, tx *database.Tx, at time.Time, o *order.Order, wish Wish, actor string,
) (*work, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, fmt.Errorf("invoice id: %w", err)
	}
	w := s.newWork(tx, at, o, &Invoice{
		ID: id, OrderID: o.ID, BuyerID: o.BuyerID, Wish: wish, Currency: o.Currency, CreatedAt: at, UpdatedAt: at,
	})
	if err := w.step(Request, actor, ""); err != nil {
		return nil, err
	}
	if err := insert(ctx, tx, w.invoice, w.changes); err != nil {
		return nil, err
	}
	return w, w.announce(ctx)
}

// actorOf is who asks, for histories: staff who ask for a buyer are named.
func actorOf(ctx context.Context) string {
	if c, ok := auth.CallerFrom(ctx); ok && c.Acting&auth.StaffRoles != 0 {
		return auth.StaffActor(ctx)
	}
	return actorBuyer
}
