package partition

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// Terms of an order that is accepted.
type Terms struct {
	ID uuid.UUID
	// AcceptedMs and ExpiresMs are Unix milliseconds.
	AcceptedMs, ExpiresMs int64
	Currency              string
}

// Take reserves what [State.Decide] accepted, before its record is durable: the units leave what is
// available. [State.Drop] undoes it if the record does not land, [State.Landed] says that it did.
// [ErrCorrupt]: there is an order with that id, or it cannot stand in a log; nothing changed.
func (s *State) Take(request Request, terms Terms) error {
	h := s.orders.hash(request.BuyerID, request.RequestID)
	if _, twice := s.orders.findID(terms.ID); twice {
		return fmt.Errorf("%w: order %s reserved twice", ErrCorrupt, terms.ID)
	}
	b := s.orders.addBuyer(h, request.BuyerID)
	if _, twice := s.orders.findRequest(h, b, request.RequestID); twice {
		return fmt.Errorf("%w: request of order %s reserved twice", ErrCorrupt, terms.ID)
	}
	currency, ok := s.orders.currency(terms.Currency)
	if !ok || len(request.Items) > math.MaxUint16 || s.orders.texts.full() {
		return fmt.Errorf("%w: order %s has too many items, a currency too many or ids too long", ErrCorrupt, terms.ID)
	}
	for i := range request.Items {
		item := &request.Items[i]
		if err := quantityOK(item.SKU, item.Quantity); err != nil {
			return err
		}
		same := func(other RequestItem) bool { return other.SKU == item.SKU }
		if slices.ContainsFunc(request.Items[:i], same) {
			return fmt.Errorf("%w: order %s has item %s twice", ErrCorrupt, terms.ID, item.SKU)
		}
		if s.shards[s.shardIndex(item.SKU)].Available < item.Quantity {
			return fmt.Errorf("%w: order %s reserves %d of item %s, more than is available",
				ErrCorrupt, terms.ID, item.Quantity, item.SKU)
		}
	}
	added := order{
		id: terms.ID, acceptedMs: terms.AcceptedMs, expiresMs: terms.ExpiresMs,
		buyer: b, request: s.orders.texts.add(request.RequestID),
		firstItem: s.orders.items.length, items: uint16(len(request.Items)), currency: currency,
	}
	for i := range request.Items {
		item := &request.Items[i]
		s.orders.items.add(orderItem{
			shard: s.index[item.SKU], quantity: item.Quantity, unitPrice: item.UnitPrice,
		})
	}
	s.orders.add(h, added)
	s.move(&added, 1)
	return nil
}

// Drop undoes the last count calls of [State.Take], since when nothing else changed.
func (s *State) Drop(count int) {
	for range count {
		s.move(s.orders.list.at(s.orders.list.length-1), -1)
		s.orders.dropLast()
	}
}

// Landed says that the record of what was taken landed at a sequence.
func (s *State) Landed(sequence uint64) { s.sequence = sequence }

// foldReservation takes what the log reserved.
func (s *State) foldReservation(r *flashv1.Reservation) error {
	id, err := uuid.FromBytes(r.GetOrderId())
	if err != nil {
		return fmt.Errorf("%w: order id: %w", ErrCorrupt, err)
	}
	s.items = s.items[:0]
	for _, item := range r.GetItems() {
		s.items = append(s.items, RequestItem{
			SKU: item.GetSku(), Quantity: item.GetQuantity(), UnitPrice: item.GetUnitPrice(),
		})
	}
	return s.Take(Request{BuyerID: r.GetBuyerId(), RequestID: r.GetRequestId(), Items: s.items}, Terms{
		ID: id, AcceptedMs: r.GetAcceptedAtUnixMs(), ExpiresMs: r.GetExpiresAtUnixMs(), Currency: r.GetCurrency(),
	})
}

// move shifts the order's items from available to reserved (direction 1) or back (-1).
func (s *State) move(moved *order, direction int64) {
	for k := range uint32(moved.items) {
		item := s.orders.items.at(moved.firstItem + k)
		q := direction * item.quantity
		s.shards[item.shard].Available -= q
		s.shards[item.shard].Reserved += q
		s.orders.buy(moved.buyer, item.shard, q)
	}
}
