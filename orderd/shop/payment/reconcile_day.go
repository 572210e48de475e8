package payment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// bookings are what we have of a page of a statement.
type bookings struct {
	payments map[uuid.UUID]*booked
	// refunds by the id that the provider knows, and by its own.
	refunds, byProvider map[string]*booked
	// told are the payments that notifications have named, by the transaction.
	told map[string]uuid.UUID
}

func newBookings(told map[string]uuid.UUID, payments []*Payment, refunds []*Refund) *bookings {
	b := &bookings{
		payments: map[uuid.UUID]*booked{}, refunds: map[string]*booked{}, byProvider: map[string]*booked{}, told: told,
	}
	for _, p := range payments {
		b.payments[p.ID] = &booked{
			paymentID: p.ID, state: p.State, amount: p.Amount, currency: p.Currency, transactionID: p.TransactionID,
		}
	}
	for _, r := range refunds {
		have := &booked{paymentID: r.PaymentID, refundID: r.ID, state: r.State, amount: r.Amount, currency: r.Currency}
		b.refunds[r.ID.String()], b.refunds[r.asked().String()] = have, have
		if r.ProviderRefundID != "" {
			b.byProvider[r.ProviderRefundID] = have
		}
	}
	return b
}

// of is what we have of a row; nil if nothing.
func (b *bookings) of(row StatementRow) *booked {
	if row.Kind == KindRefund {
		if row.RefundID != uuid.Nil {
			return b.refunds[row.RefundID.String()]
		}
		return b.byProvider[row.TransactionID]
	}
	id := row.PaymentID
	if id == uuid.Nil {
		id = b.told[row.TransactionID]
	}
	return b.payments[id]
}

// dayReader compares a day's statement, a page at a time.
type dayReader struct {
	service  *Service
	provider string
	day      time.Time
	rows     int64
	page     []StatementRow
}

func (d *dayReader) add(ctx context.Context, row StatementRow) error {
	d.rows++
	if d.page = append(d.page, row); len(d.page) < reconcilePage {
		return nil
	}
	return d.flush(ctx)
}

// flush compares the page and stores what it finds.
func (d *dayReader) flush(ctx context.Context) error {
	if len(d.page) == 0 {
		return nil
	}
	known, err := d.find(ctx)
	if err != nil {
		return err
	}
	now := database.Stamp(d.service.now())
	found := findings{}
	for _, row := range d.page {
		ours := known.of(row)
		for _, kind := range compare(row, ours) {
			if _, told := known.told[row.TransactionID]; told && kind == TransactionDiffers {
				// The buyer was charged twice: we know, and the money goes back.
				continue
			}
			found.add(d.difference(row, ours, kind, now))
		}
		// One that has not succeeded here counts too: if it succeeds on a later day, no later
		// statement has it.
		if ours != nil {
			found.stated(row.Kind, ours)
		}
	}
	d.page = d.page[:0]
	return d.store(ctx, found, now)
}

func (d *dayReader) difference(row StatementRow, ours *booked, kind DifferenceKind, now time.Time) Difference {
	out := Difference{
		Provider: d.provider, Day: d.day, Subject: row.TransactionID, Kind: kind, SubjectKind: row.kind(),
		TransactionID: row.TransactionID, PaymentID: present(row.PaymentID), RefundID: present(row.RefundID),
		TheirAmount: row.Amount, TheirCurrency: row.Currency, FoundAt: now,
	}
	if ours != nil {
		out.OurState, out.OurAmount, out.OurCurrency = string(ours.state), ours.amount, ours.currency
		out.PaymentID, out.RefundID = present(ours.paymentID), present(ours.refundID)
	}
	return out
}

// missingThere is the difference that no statement has one of ours.
func (d *dayReader) missingThere(r ownRow, of Kind, now time.Time) Difference {
	out := Difference{
		Provider: d.provider, Day: d.day, Subject: r.ID.String(), Kind: MissingThere, SubjectKind: of,
		TransactionID: r.TransactionID, PaymentID: present(r.PaymentID),
		OurState: string(Succeeded), OurAmount: r.Amount, OurCurrency: r.Currency, FoundAt: now,
	}
	if of == KindRefund {
		out.RefundID = present(r.ID)
	}
	return out
}

func (r StatementRow) kind() Kind {
	if r.Kind == KindRefund {
		return KindRefund
	}
	return KindPayment
}

func present(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// findings are what comparing one page of a statement has found.
type findings struct {
	differences []Difference
	// payments and refunds are in the statement.
	payments, refunds []uuid.UUID
	// late are payments and refunds that the provider has moved and that have not succeeded here.
	latePayments, lateRefunds []uuid.UUID
}

func (f *findings) add(d Difference) {
	f.differences = append(f.differences, d)
	switch {
	case d.Kind != StateDiffers:
	case d.SubjectKind == KindRefund:
		f.lateRefunds = append(f.lateRefunds, *d.RefundID)
	default:
		f.latePayments = append(f.latePayments, *d.PaymentID)
	}
}

// stated notes that the statement has one of ours.
func (f *findings) stated(kind Kind, ours *booked) {
	if kind == KindRefund {
		f.refunds = append(f.refunds, ours.refundID)
		return
	}
	f.payments = append(f.payments, ours.paymentID)
}
