package flash

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// The rules of flash.proto, by hand: on a stream, checking them by protovalidate would cost more than the order.
const (
	promotionChars = 63
	textChars      = 64
	itemsMax       = 10
	quantityMax    = 9999
	tokensMax      = 10
	tokenChars     = 128
)

// validate is nil if the request is valid by the proto's rules, else the refusal that names the first field that is not.
func validate(request *flashv1.PlaceFlashOrderRequest) error {
	switch {
	case !between(request.GetPromotion(), promotionChars):
		return invalid("promotion", "must have 1 to 63 characters")
	case !text(request.GetBuyerId()):
		return invalid("buyer_id", "must have 1 to 64 characters, none of them NUL")
	case !text(request.GetRequestId()):
		return invalid("request_id", "must have 1 to 64 characters, none of them NUL")
	case len(request.GetItems()) == 0 || len(request.GetItems()) > itemsMax:
		return invalid("items", "must be 1 to 10")
	case len(request.GetAdmissionTokens()) > tokensMax:
		return invalid("admission_tokens", "must be no more than 10")
	}
	for i, item := range request.GetItems() {
		if !text(item.GetSku()) {
			return invalid("items["+strconv.Itoa(i)+"].sku", "must have 1 to 64 characters, none of them NUL")
		}
		if item.GetQuantity() < 1 || item.GetQuantity() > quantityMax {
			return invalid("items["+strconv.Itoa(i)+"].quantity", "must be between 1 and 9999")
		}
		for _, other := range request.GetItems()[:i] {
			if other.GetSku() == item.GetSku() {
				return invalid("items", "a SKU may stand in one item only")
			}
		}
	}
	for i, token := range request.GetAdmissionTokens() {
		if len(token) > tokenChars && utf8.RuneCountInString(token) > tokenChars {
			return invalid("admission_tokens["+strconv.Itoa(i)+"]", "must have no more than 128 characters")
		}
	}
	return nil
}

func invalid(field, rule string) error {
	return rpcerr.New(connect.CodeInvalidArgument, "INVALID_REQUEST", field+": "+rule)
}

// between says whether a text has 1 to most characters. Only a long one has to be counted.
func between(s string, most int) bool {
	return s != "" && (len(s) <= most || utf8.RuneCountInString(s) <= most)
}

// text that may be stored.
func text(s string) bool {
	return between(s, textChars) && strings.IndexByte(s, 0) < 0
}
