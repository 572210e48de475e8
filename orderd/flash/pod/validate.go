package pod

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/reflect/protoreflect"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// validRequest has the limits that flash.proto sets on a request. On a call stream, checking them
// by protovalidate would cost more than the order: they are read from the descriptors once, and
// checked by hand.
var validRequest = readRules()

// requestRules are the rules of a PlaceFlashOrderRequest.
type requestRules struct {
	promotion, buyerID, requestID, token, sku textRule
	quantity                                  rangeRule
	items, tokens                             rangeRule
}

// textRule bounds a text.
type textRule struct {
	// characters that it has.
	characters rangeRule
	// without is what it does not have; empty: it may have anything.
	without string
	// broken says what the text must be.
	broken string
}

// rangeRule bounds a number.
type rangeRule struct {
	least, most int64
	// broken says what the number must be.
	broken string
}

func readRules() requestRules {
	request := (&flashv1.PlaceFlashOrderRequest{}).ProtoReflect().Descriptor()
	item := (&flashv1.FlashOrderItem{}).ProtoReflect().Descriptor()
	items, tokens := rulesOf(request, "items").GetRepeated(), rulesOf(request, "admission_tokens").GetRepeated()
	quantity := rulesOf(item, "quantity").GetInt64()
	return requestRules{
		promotion: newTextRule(rulesOf(request, "promotion").GetString()),
		buyerID:   newTextRule(rulesOf(request, "buyer_id").GetString()),
		requestID: newTextRule(rulesOf(request, "request_id").GetString()),
		token:     newTextRule(tokens.GetItems().GetString()),
		sku:       newTextRule(rulesOf(item, "sku").GetString()),
		quantity:  newRangeRule(quantity.GetGte(), quantity.GetLte(), "must be", ""),
		items:     newRangeRule(int64(items.GetMinItems()), int64(items.GetMaxItems()), "must be", ""),
		tokens:    newRangeRule(int64(tokens.GetMinItems()), int64(tokens.GetMaxItems()), "must be", ""),
	}
}

// rulesOf a field. It panics if the field has none: the check by hand would not be the proto's.
func rulesOf(message protoreflect.MessageDescriptor, field protoreflect.Name) *validate.FieldRules {
	rules, err := protovalidate.ResolveFieldRules(message.Fields().ByName(field))
	if err != nil || rules == nil {
		panic(fmt.Sprintf("%s.%s has no rules: %v", message.FullName(), field, err))
	}
	return rules
}

func newTextRule(rules *validate.StringRules) textRule {
	most := int64(math.MaxInt64)
	if rules.HasMaxLen() {
		most = int64(rules.GetMaxLen())
	}
	r := textRule{
		characters: newRangeRule(int64(rules.GetMinLen()), most, "must have", " characters"),
		without:    rules.GetNotContains(),
	}
	r.broken = r.characters.broken
	if r.without != "" {
		r.broken += fmt.Sprintf(", and not %q", r.without)
	}
	return r
}

func newRangeRule(least, most int64, must, unit string) rangeRule {
	r := rangeRule{least: least, most: most}
	if least > 0 {
		r.broken = fmt.Sprintf("%s between %d and %d%s", must, least, most, unit)
	} else {
		r.broken = fmt.Sprintf("%s no more than %d%s", must, most, unit)
	}
	return r
}

func (r rangeRule) allows(number int64) bool { return number >= r.least && number <= r.most }

// allows says whether a text is valid. Only a long one has to be counted: it has no more
// characters than bytes.
func (r *textRule) allows(text string) bool {
	if int64(len(text)) > r.characters.most || r.characters.least > 1 {
		if !r.characters.allows(int64(utf8.RuneCountInString(text))) {
			return false
		}
	}
	return int64(len(text)) >= r.characters.least && (r.without == "" || !strings.Contains(text, r.without))
}

// validateRequest is nil if the request is valid by the proto's rules, else the refusal that names
// the first field that is not.
func validateRequest(request *flashv1.PlaceFlashOrderRequest) error {
	rules := &validRequest
	switch {
	case !rules.promotion.allows(request.GetPromotion()):
		return invalid("promotion", rules.promotion.broken)
	case !rules.buyerID.allows(request.GetBuyerId()):
		return invalid("buyer_id", rules.buyerID.broken)
	case !rules.requestID.allows(request.GetRequestId()):
		return invalid("request_id", rules.requestID.broken)
	case !rules.items.allows(int64(len(request.GetItems()))):
		return invalid("items", rules.items.broken)
	case !rules.tokens.allows(int64(len(request.GetAdmissionTokens()))):
		return invalid("admission_tokens", rules.tokens.broken)
	}
	for i, item := range request.GetItems() {
		if !rules.sku.allows(item.GetSku()) {
			return invalid("items["+strconv.Itoa(i)+"].sku", rules.sku.broken)
		}
		if !rules.quantity.allows(item.GetQuantity()) {
			return invalid("items["+strconv.Itoa(i)+"].quantity", rules.quantity.broken)
		}
		for _, other := range request.GetItems()[:i] {
			if other.GetSku() == item.GetSku() {
				return invalid("items", "a SKU may stand in one item only")
			}
		}
	}
	for i, token := range request.GetAdmissionTokens() {
		if !rules.token.allows(token) {
			return invalid("admission_tokens["+strconv.Itoa(i)+"]", rules.token.broken)
		}
	}
	return nil
}

func invalid(field, rule string) error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest, field+": "+rule)
}
