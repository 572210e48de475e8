package refusal

import (
	"strconv"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Keys of the refusals' metadata.
const (
	metadataSKU       = "sku"
	metadataLeft      = "left"
	metadataStartTime = "start_time"
	metadataEndTime   = "end_time"
)

// PromotionNotFound refuses a promotion that this pod does not know.
func PromotionNotFound() *Error {
	return newRefusal(connect.CodeNotFound, 0, rpcerr.ReasonPromotionNotFound, "there is no such promotion")
}

// ItemNotFound refuses a SKU that the promotion does not have.
func ItemNotFound(sku string) *Error {
	return newRefusal(connect.CodeNotFound, 0, rpcerr.ReasonItemNotFound, "the promotion has no such item", metadataSKU,
		sku)
}

// ItemsApart refuses an order of items that are in different streams: nothing can
// take both or neither.
func ItemsApart(sku string) *Error {
	return newRefusal(connect.CodeInvalidArgument, 0, rpcerr.ReasonItemsApart,
		"the items cannot be ordered together", metadataSKU, sku)
}

// OrderNotFound says that no order was accepted for a request or has an id.
func OrderNotFound() *Error {
	return newRefusal(connect.CodeNotFound, 0, rpcerr.ReasonOrderNotFound, "there is no such order in the promotion")
}

// NotStarted refuses a request before the window.
func NotStarted(start time.Time) *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonNotStarted,
		"the promotion has not started", metadataStartTime, start.Format(time.RFC3339Nano))
}

// Ended refuses a request after the window.
func Ended() *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonEnded, "the promotion has ended")
}

// Paused refuses a request while the shop pauses the sale.
func Paused() *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonPaused, "the promotion is paused")
}

// ItemOff refuses an item that the shop switched off.
func ItemOff(sku string) *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonItemOff, "the item is switched off", metadataSKU,
		sku)
}

// SoldOut refuses an item of which no more than left units, fewer than asked for, are in all shards.
func SoldOut(sku string, left int64) *Error {
	return newRefusal(connect.CodeResourceExhausted, 0, rpcerr.ReasonSoldOut,
		"sold out", metadataSKU, sku, metadataLeft, strconv.FormatInt(left, 10))
}

// LimitPerBuyer refuses what would give a buyer more of an item than is allowed.
func LimitPerBuyer(sku string) *Error {
	return newRefusal(connect.CodeResourceExhausted, 0, rpcerr.ReasonLimitPerBuyer, "over the limit per buyer",
		metadataSKU, sku)
}

// RequestIDReused refuses a request id that stands for an order of other items.
func RequestIDReused() *Error {
	return newRefusal(connect.CodeAlreadyExists, 0, rpcerr.ReasonRequestIDReused,
		"the request id was used with other items")
}

// Overloaded refuses what exceeds a queue. Nothing was taken.
func Overloaded(after time.Duration) *Error {
	return newRefusal(connect.CodeUnavailable, after, rpcerr.ReasonOverloaded, "too many requests at once")
}

// PartitionFull is Overloaded for a buyer whose partition holds as many reservations as it may: a
// retry helps only once the promotion has more partitions, and is asked to come late.
func PartitionFull(after time.Duration) *Error {
	return newRefusal(connect.CodeUnavailable, after, rpcerr.ReasonOverloaded,
		"the buyer's partition holds as many orders as it may")
}

// PartitionMoving leaves open whether the request was taken; a retry with the same request id tells.
func PartitionMoving(after time.Duration) *Error {
	return newRefusal(connect.CodeUnavailable, after, rpcerr.ReasonPartitionMoving, "the buyer's partition changes hands")
}

// NotOwner tells another pod that it guessed wrong. Nothing was taken.
func NotOwner() *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonNotOwner, "another pod owns the partition")
}

// AdmissionRequired refuses a request without a token for one of its items.
func AdmissionRequired(sku string) *Error {
	return newRefusal(connect.CodePermissionDenied, 0, rpcerr.ReasonAdmissionRequired,
		"the item needs an admission token", metadataSKU, sku)
}

// AdmissionInvalid refuses a request none of whose tokens is for one of its items, its
// buyer and this promotion.
func AdmissionInvalid(sku string) *Error {
	return newRefusal(connect.CodePermissionDenied, 0, rpcerr.ReasonAdmissionInvalid,
		"the admission token is not for this buyer and item", metadataSKU, sku)
}

// AdmissionClosed says that admission tokens were given out until end.
func AdmissionClosed(end time.Time) *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonAdmissionClosed,
		"no more admission tokens are given out", metadataEndTime, end.Format(time.RFC3339Nano))
}

// AdmissionNotRequired says that the promotion takes requests without admission tokens.
func AdmissionNotRequired() *Error {
	return newRefusal(connect.CodeFailedPrecondition, 0, rpcerr.ReasonAdmissionNotRequired,
		"the promotion asks for no admission tokens")
}
