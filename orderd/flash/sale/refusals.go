package sale

import (
	"strconv"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// Reasons of the flash lane's refusals.
const (
	ReasonPromotionNotFound = "PROMOTION_NOT_FOUND"
	ReasonItemNotFound      = "ITEM_NOT_FOUND"
	ReasonItemsApart        = "ITEMS_APART"
	ReasonOrderNotFound     = "ORDER_NOT_FOUND"
	ReasonNotStarted        = "NOT_STARTED"
	ReasonEnded             = "ENDED"
	ReasonPaused            = "PAUSED"
	ReasonItemOff           = "ITEM_OFF"
	ReasonSoldOut           = "SOLD_OUT"
	ReasonLimitPerBuyer     = "LIMIT_PER_BUYER"
	ReasonRequestIDReused   = "REQUEST_ID_REUSED"
	ReasonOverloaded        = "OVERLOADED"
	ReasonPartitionMoving   = "PARTITION_MOVING"
	// ReasonNotOwner is between pods only.
	ReasonNotOwner = "NOT_OWNER"
)

// Keys of the refusals' metadata.
const (
	metadataSKU  = "sku"
	metadataLeft = "left"
)

// PromotionNotFound refuses a promotion that this pod does not know.
func PromotionNotFound() error {
	return rpcerr.New(connect.CodeNotFound, ReasonPromotionNotFound, "there is no such promotion")
}

// ItemNotFound refuses a SKU that the promotion does not have.
func ItemNotFound(sku string) error {
	return rpcerr.New(connect.CodeNotFound, ReasonItemNotFound, "the promotion has no such item", metadataSKU, sku)
}

// ItemsApart refuses an order of items that are in different streams: nothing can take both or neither.
func ItemsApart(sku string) error {
	return rpcerr.New(connect.CodeInvalidArgument, ReasonItemsApart, "the items cannot be ordered together", metadataSKU, sku)
}

// OrderNotFound says that no order was accepted for a request or has an id.
func OrderNotFound() error {
	return rpcerr.New(connect.CodeNotFound, ReasonOrderNotFound, "there is no such order in the promotion")
}

// NotStarted refuses a request before the window.
func NotStarted(start time.Time) error {
	return rpcerr.New(connect.CodeFailedPrecondition, ReasonNotStarted, "the promotion has not started", "start_time", start.Format(time.RFC3339Nano))
}

// Ended refuses a request after the window.
func Ended() error {
	return rpcerr.New(connect.CodeFailedPrecondition, ReasonEnded, "the promotion has ended")
}

// Paused refuses a request while the shop holds the sale.
func Paused() error {
	return rpcerr.New(connect.CodeFailedPrecondition, ReasonPaused, "the promotion is paused")
}

// ItemOff refuses an item that the shop switched off.
func ItemOff(sku string) error {
	return rpcerr.New(connect.CodeFailedPrecondition, ReasonItemOff, "the item is switched off", metadataSKU, sku)
}

// SoldOut refuses an item of which no more than left units, fewer than asked for, are in all shards.
func SoldOut(sku string, left int64) error {
	return rpcerr.New(connect.CodeResourceExhausted, ReasonSoldOut, "sold out", metadataSKU, sku, metadataLeft, strconv.FormatInt(left, 10))
}

// SoldOutSKU is the item of a SoldOut error of which nothing at all is left; empty for any other error.
func SoldOutSKU(err error) string {
	if rpcerr.Reason(err) != ReasonSoldOut {
		return ""
	}
	if metadata := rpcerr.Metadata(err); metadata[metadataLeft] == "0" {
		return metadata[metadataSKU]
	}
	return ""
}

// LimitPerBuyer refuses what would give a buyer more of an item than is allowed.
func LimitPerBuyer(sku string) error {
	return rpcerr.New(connect.CodeResourceExhausted, ReasonLimitPerBuyer, "over the limit per buyer", metadataSKU, sku)
}

// RequestIDReused refuses a request id that stands for an order of other items.
func RequestIDReused() error {
	return rpcerr.New(connect.CodeAlreadyExists, ReasonRequestIDReused, "the request id was used with other items")
}

// Overloaded refuses what exceeds a queue. Nothing was taken.
func Overloaded(after time.Duration) error {
	return rpcerr.Retry(connect.CodeUnavailable, ReasonOverloaded, "too many requests at once", after)
}

// PartitionMoving leaves open whether the request was taken; a retry with the same request id tells.
func PartitionMoving(after time.Duration) error {
	return rpcerr.Retry(connect.CodeUnavailable, ReasonPartitionMoving, "the buyer's partition changes hands", after)
}

// NotOwner tells another pod that it guessed wrong. Nothing was taken.
func NotOwner() error {
	return rpcerr.New(connect.CodeFailedPrecondition, ReasonNotOwner, "another pod owns the partition")
}
