package partition

import (
	"fmt"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// Fold applies the record at a stream sequence. [ErrCorrupt] means that the record cannot stand
// there, and that the state must not be used any more.
func (s *State) Fold(sequence uint64, record *flashv1.Record) error {
	if sequence <= s.sequence {
		return fmt.Errorf("%w: sequence %d after %d", ErrCorrupt, sequence, s.sequence)
	}
	if s.closed {
		return fmt.Errorf("%w: a record at %d after Closed", ErrCorrupt, sequence)
	}
	if err := s.apply(record); err != nil {
		return fmt.Errorf("sequence %d: %w", sequence, err)
	}
	s.sequence = sequence
	return nil
}

// maxQuantity keeps sums of quantities far from overflow.
const maxQuantity = 1 << 48

// quantityOK refuses what no writer writes.
func quantityOK(sku string, quantity int64) error {
	if quantity < 0 || quantity > maxQuantity {
		return fmt.Errorf("%w: a quantity of %d of item %s", ErrCorrupt, quantity, sku)
	}
	return nil
}

func (s *State) apply(record *flashv1.Record) error {
	switch kind := record.GetKind().(type) {
	case *flashv1.Record_Opened:
		return s.open(kind.Opened)
	case *flashv1.Record_Reserved:
		for _, r := range kind.Reserved.GetReservations() {
			if err := s.foldReservation(r); err != nil {
				return err
			}
		}
	case *flashv1.Record_Released:
		for _, r := range kind.Released.GetOrders() {
			if err := s.release(r.GetOrderId()); err != nil {
				return err
			}
		}
	case *flashv1.Record_ToppedUp:
		return s.topUp(kind.ToppedUp)
	case *flashv1.Record_TransferredOut:
		return s.transferOut(kind.TransferredOut)
	case *flashv1.Record_TransferredIn:
		return s.transferIn(kind.TransferredIn)
	case *flashv1.Record_Fenced:
		s.owner = kind.Fenced.GetOwner()
	case *flashv1.Record_Closed:
		s.closed = true
	default:
		return fmt.Errorf("%w: unknown kind of record", ErrCorrupt)
	}
	return nil
}

func (s *State) open(opened *flashv1.Opened) error {
	if s.opened {
		return fmt.Errorf("%w: opened twice", ErrCorrupt)
	}
	s.opened = true
	for _, item := range opened.GetItems() {
		if err := quantityOK(item.GetSku(), item.GetQuantity()); err != nil {
			return err
		}
		shard := s.shard(item.GetSku())
		shard.Allocated += item.GetQuantity()
		shard.Available += item.GetQuantity()
	}
	return nil
}

func (s *State) release(raw []byte) error {
	id, err := uuid.FromBytes(raw)
	if err != nil {
		return fmt.Errorf("%w: released order id: %w", ErrCorrupt, err)
	}
	i, ok := s.orders.findID(id)
	if !ok {
		return fmt.Errorf("%w: released order %s was never reserved", ErrCorrupt, id)
	}
	order := s.orders.list.at(i)
	if order.released {
		return nil
	}
	order.released = true
	s.move(order, -1)
	for k := range uint32(order.items) {
		s.shards[s.orders.items.at(order.firstItem+k).shard].Inflows++
	}
	return nil
}

func (s *State) topUp(topUp *flashv1.ToppedUp) error {
	if _, seen := s.topUps[topUp.GetTopUpId()]; seen {
		return nil
	}
	s.topUps[topUp.GetTopUpId()] = struct{}{}
	for _, item := range topUp.GetItems() {
		if err := quantityOK(item.GetSku(), item.GetQuantity()); err != nil {
			return err
		}
		shard := s.shard(item.GetSku())
		shard.ToppedUp += item.GetQuantity()
		shard.Available += item.GetQuantity()
		shard.Inflows++
	}
	return nil
}

func (s *State) transferIn(in *flashv1.TransferredIn) error {
	if err := quantityOK(in.GetSku(), in.GetQuantity()); err != nil {
		return err
	}
	shard := s.shard(in.GetSku())
	shard.In += in.GetQuantity()
	shard.Available += in.GetQuantity()
	shard.Inflows++
	return nil
}

func (s *State) transferOut(out *flashv1.TransferredOut) error {
	if err := quantityOK(out.GetSku(), out.GetQuantity()); err != nil {
		return err
	}
	shard := s.shard(out.GetSku())
	if shard.Available < out.GetQuantity() {
		return fmt.Errorf("%w: %d of item %s transferred out, %d available",
			ErrCorrupt, out.GetQuantity(), out.GetSku(), shard.Available)
	}
	shard.Out += out.GetQuantity()
	shard.Available -= out.GetQuantity()
	return nil
}
