package partition

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// RecordHead is how many bytes a buffer for [Reserved] has before its first reservation.
const RecordHead = 16

// The fields' numbers of the messages in orderd/flash/v1/log.proto.
const (
	recordReserved       = 2
	reservedReservations = 1

	reservationOrderID    = 1
	reservationBuyerID    = 2
	reservationRequestID  = 3
	reservationItems      = 4
	reservationCurrency   = 5
	reservationAcceptedAt = 6
	reservationExpiresAt  = 7

	itemSKU       = 1
	itemQuantity  = 2
	itemUnitPrice = 3
)

// AppendReservation appends an order to b as one of a Reserved record's reservations.
func AppendReservation(b []byte, request *Request, terms *Terms) []byte {
	size := protowire.SizeTag(reservationOrderID) + protowire.SizeBytes(len(terms.ID)) +
		sizeString(request.BuyerID) + sizeString(request.RequestID) +
		sizeString(terms.Currency) + sizeInt(terms.AcceptedMs) + sizeInt(terms.ExpiresMs)
	for i := range request.Items {
		size += 1 + protowire.SizeBytes(sizeItem(&request.Items[i]))
	}
	b = protowire.AppendTag(b, reservedReservations, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, reservationOrderID, protowire.BytesType)
	b = protowire.AppendBytes(b, terms.ID[:])
	b = appendString(b, reservationBuyerID, request.BuyerID)
	b = appendString(b, reservationRequestID, request.RequestID)
	for i := range request.Items {
		item := &request.Items[i]
		b = protowire.AppendTag(b, reservationItems, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(sizeItem(item)))
		b = appendString(b, itemSKU, item.SKU)
		b = appendInt(b, itemQuantity, item.Quantity)
		b = appendInt(b, itemUnitPrice, item.UnitPrice)
	}
	b = appendString(b, reservationCurrency, terms.Currency)
	b = appendInt(b, reservationAcceptedAt, terms.AcceptedMs)
	return appendInt(b, reservationExpiresAt, terms.ExpiresMs)
}

// Reserved is the record of the reservations that [AppendReservation] appended after the first
// [RecordHead] bytes of a buffer, in the buffer itself.
func Reserved(b []byte) []byte {
	var head [RecordHead]byte
	prefix := protowire.AppendTag(head[:0], recordReserved, protowire.BytesType)
	prefix = protowire.AppendVarint(prefix, uint64(len(b)-RecordHead))
	b = b[RecordHead-len(prefix):]
	copy(b, prefix)
	return b
}

func sizeItem(item *RequestItem) int {
	return sizeString(item.SKU) + sizeInt(item.Quantity) + sizeInt(item.UnitPrice)
}

// The fields have numbers below 16: their tags are one byte. What has its type's zero value is left
// out, as proto3 does.
func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func sizeInt(v int64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(uint64(v))
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}
