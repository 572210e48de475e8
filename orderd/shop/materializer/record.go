package materializer

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// redeliverAfter is when a record is looked at again that could not be dealt with for a
// reason that may pass.
const redeliverAfter = time.Minute

// record is one of the log that this worker works on.
type record struct {
	jetstream.Msg
	working *messaging.Working[*record]
	// left are its orders that are neither written nor refused.
	left atomic.Int64
	// back: some of them have to be looked at again.
	back atomic.Bool
}

// done says what became of some of its orders. The last one acknowledges the record.
func (r *record) done(orders int64) {
	if r.left.Add(-orders) == 0 {
		r.finish()
	}
}

// finish acknowledges the record or puts it back. Where that does not get through,
// the record comes again.
func (r *record) finish() {
	r.working.Remove(r)
	if r.back.Load() {
		_ = r.NakWithDelay(redeliverAfter)
		return
	}
	_ = r.Ack()
}

// read gives the orders of a record, and which do not fit the promotion, in a list of the same length;
// only Reserved records have some. After an error they are all that can be read.
func (s *stream) read(msg jetstream.Msg, stored time.Time) ([]order.Accepted, []*prepare.MisfitError, error) {
	var r flashv1.Record
	if err := proto.Unmarshal(msg.Data(), &r); err != nil {
		return nil, nil, fmt.Errorf("decoding a record: %w", err)
	}
	reservations := r.GetReserved().GetReservations()
	found := s.claims.Load().Misfits(
		prepare.Place{Subject: msg.Subject(), Stream: s.index, Stored: stored}, reservations, s.options.Own)
	orders := make([]order.Accepted, 0, len(reservations))
	misfits := make([]*prepare.MisfitError, 0, len(reservations))
	var errs []error
	for i, r := range reservations {
		accepted, err := decode(s.promo, r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		orders, misfits = append(orders, accepted), append(misfits, found[i])
	}
	return orders, misfits, errors.Join(errs...)
}

func decode(promo *flashv1.Promotion, r *flashv1.Reservation) (order.Accepted, error) {
	id, err := uuid.FromBytes(r.GetOrderId())
	if err != nil {
		return order.Accepted{}, fmt.Errorf("decoding an order id: %w", err)
	}
	accepted := order.Accepted{
		OrderID: id, BuyerID: r.GetBuyerId(), RequestID: r.GetRequestId(), Currency: r.GetCurrency(),
		PromotionUID: promo.GetUid(), Promotion: promo.GetName(),
		AcceptedAt: time.UnixMilli(r.GetAcceptedAtUnixMs()).UTC(), ExpiresAt: time.UnixMilli(r.GetExpiresAtUnixMs()).UTC(),
		Items: make([]order.AcceptedItem, len(r.GetItems())),
	}
	for i, item := range r.GetItems() {
		accepted.Items[i] = order.AcceptedItem{
			SKU:       item.GetSku(),
			Quantity:  item.GetQuantity(),
			UnitPrice: item.GetUnitPrice(),
		}
	}
	return accepted, nil
}
