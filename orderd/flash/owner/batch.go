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

// responsesAtOnce is how many responses share an allocation at most: a caller that keeps one keeps
// them all.
const responsesAtOnce = 64

// batch is the decisions that one append makes durable. Refusals are in it as well: they may rest
// on reservations that are not durable yet. An owner has one, and uses it again.
type batch struct {
	requests []request
	// answers has the decision on each request.
	answers []answer
	// refused is how many of the answers are refusals.
	refused int
	// reservations is how many the record has; see [partition.AppendReservation].
	reservations int
	record       []byte
	// deciding is the request that is being decided on, as the state reads it.
	deciding partition.Request

	// responses is room for further ones. All of the batch's orders were accepted at the same
	// moment, and share acceptedAt.
	responses  []flashv1.PlaceFlashOrderResponse
	acceptedAt *timestamppb.Timestamp
}

// answer to a request: a response or a refusal.
type answer struct {
	response *flashv1.PlaceFlashOrderResponse
	err      error
}

// begin empties the batch.
func (b *batch) begin() {
	clear(b.requests)
	clear(b.answers)
	b.requests, b.answers = b.requests[:0], b.answers[:0]
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

func (b *batch) accept(r request, response *flashv1.PlaceFlashOrderResponse) {
	b.requests, b.answers = append(b.requests, r), append(b.answers, answer{response: response})
}

func (b *batch) refuse(r request, err error) {
	b.requests, b.answers = append(b.requests, r), append(b.answers, answer{err: err})
	b.refused++
}

// setRequest has the state's request say what the message wants, with the limits and prices of now.
// An error is the message's refusal.
func setRequest(
	to *partition.Request, promo *promotion.Promotion, message *flashv1.PlaceFlashOrderRequest,
) error {
	to.BuyerID, to.RequestID, to.Items = message.GetBuyerId(), message.GetRequestId(), to.Items[:0]
	for _, item := range message.GetItems() {
		promoted := promo.Item(item.GetSku())
		if promoted == nil {
			return refusal.ItemNotFound(item.GetSku())
		}
		to.Items = append(to.Items, partition.RequestItem{
			SKU: item.GetSku(), Quantity: item.GetQuantity(),
			LimitPerBuyer: promoted.GetLimitPerBuyer(), UnitPrice: promoted.GetUnitPrice(),
		})
	}
	return nil
}

// addReservation appends the request that is being decided on to the record, and accepts it. The
// state has it already. If responses must be allocated, then so many at once.
func (b *batch) addReservation(r request, terms *partition.Terms, allocate int) {
	b.record = partition.AppendReservation(b.record, &b.deciding, terms)
	b.reservations++
	if len(b.responses) == 0 {
		b.responses = make([]flashv1.PlaceFlashOrderResponse, max(1, allocate))
	}
	if b.acceptedAt == nil {
		b.acceptedAt = timestamppb.New(time.UnixMilli(terms.AcceptedMs))
	}
	response := &b.responses[0]
	b.responses = b.responses[1:]
	response.OrderId, response.AcceptedAt = textOf(terms.ID), b.acceptedAt
	response.State = flashv1.FlashOrderState_FLASH_ORDER_STATE_ACCEPTED
	b.accept(r, response)
}

// textOf is id.String(), with one allocation less.
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
