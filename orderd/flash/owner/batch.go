package owner

import (
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// responsesAtOnce is how many responses share an allocation at most: a caller that keeps one keeps them all.
const responsesAtOnce = 64

// batch is the decisions that one append makes durable. Refusals are in it as well: they may rest on
// reservations that are not durable yet. An owner has one, and uses it again.
type batch struct {
	placements []placement
	replies    []placed
	// refused is how many of the replies are refusals.
	refused int
	// reservations is how many the record has; see partition.AppendReservation.
	reservations int
	record       []byte
	// request is the one that is being decided on.
	request partition.Request

	// Room for responses. All of the batch's were accepted at the same moment, and share it.
	responses  []flashv1.PlaceFlashOrderResponse
	acceptedAt *timestamppb.Timestamp
}

// placed is the answer to a placement.
type placed struct {
	response *flashv1.PlaceFlashOrderResponse
	err      error
}

// begin empties the batch.
func (b *batch) begin() {
	clear(b.placements)
	clear(b.replies)
	b.placements, b.replies = b.placements[:0], b.replies[:0]
	b.refused, b.reservations = 0, 0
	if b.record == nil {
		b.record = make([]byte, partition.RecordHead, 4<<10)
	}
	b.record = b.record[:partition.RecordHead]
	b.responses, b.acceptedAt = nil, nil
}

func (b *batch) full() bool {
	return b.reservations >= recordOrders || len(b.record) >= recordBytes
}

func (b *batch) accept(p placement, response *flashv1.PlaceFlashOrderResponse) {
	b.placements, b.replies = append(b.placements, p), append(b.replies, placed{response: response})
}

func (b *batch) refuse(p placement, err error) {
	b.placements, b.replies = append(b.placements, p), append(b.replies, placed{err: err})
	b.refused++
}

// want sets the request to decide on, with the limits and prices of now. An error is its refusal.
func (b *batch) want(current *promotion.Promotion, place *flashv1.PlaceFlashOrderRequest) error {
	return want(&b.request, current, place)
}

func want(request *partition.Request, current *promotion.Promotion, place *flashv1.PlaceFlashOrderRequest) error {
	request.BuyerID, request.RequestID, request.Items = place.GetBuyerId(), place.GetRequestId(), request.Items[:0]
	for _, item := range place.GetItems() {
		promoted := current.Item(item.GetSku())
		if promoted == nil {
			return refusal.ItemNotFound(item.GetSku())
		}
		request.Items = append(request.Items, partition.RequestItem{
			SKU: item.GetSku(), Quantity: item.GetQuantity(), LimitPerBuyer: promoted.GetLimitPerBuyer(), UnitPrice: promoted.GetUnitPrice(),
		})
	}
	return nil
}

// hold takes the request, which the state holds, with its response. room is for how many responses to allocate when
// there is none.
func (b *batch) hold(p placement, terms *partition.Terms, room int) {
	b.record = partition.AppendReservation(b.record, &b.request, terms)
	b.reservations++
	if len(b.responses) == 0 {
		b.responses = make([]flashv1.PlaceFlashOrderResponse, max(1, room))
	}
	if b.acceptedAt == nil {
		b.acceptedAt = timestamppb.New(time.UnixMilli(terms.AcceptedMs))
	}
	response := &b.responses[0]
	b.responses = b.responses[1:]
	response.OrderId, response.State, response.AcceptedAt = textOf(terms.ID), flashv1.FlashOrderState_FLASH_ORDER_STATE_ACCEPTED, b.acceptedAt
	b.accept(p, response)
}

// textOf is id.String(), sooner.
func textOf(id uuid.UUID) string {
	var t [36]byte
	hex.Encode(t[0:8], id[0:4])
	hex.Encode(t[9:13], id[4:6])
	hex.Encode(t[14:18], id[6:8])
	hex.Encode(t[19:23], id[8:10])
	hex.Encode(t[24:36], id[10:16])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}
