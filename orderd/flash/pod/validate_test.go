package pod

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// texts around a rule's limit, in characters of one and of several bytes.
func texts(rule textRule) *rapid.Generator[string] {
	limit := int(rule.characters.most)
	return rapid.Custom(func(t *rapid.T) string {
		length := rapid.SampledFrom([]int{0, 1, 2, limit - 1, limit, limit + 1, 2 * limit}).Draw(t, "length")
		s := strings.Repeat(rapid.SampledFrom([]string{"a", "é", "単", "🙂"}).Draw(t, "character"), length)
		if rapid.IntRange(0, 9).Draw(t, "nul") == 0 {
			s += "\x00"
		}
		return s
	})
}

func requests() *rapid.Generator[*flashv1.PlaceFlashOrderRequest] {
	usual := func(usual string, g *rapid.Generator[string]) *rapid.Generator[string] {
		return rapid.OneOf(rapid.Just(usual), rapid.Just(usual), rapid.Just(usual), g)
	}
	return rapid.Custom(func(t *rapid.T) *flashv1.PlaceFlashOrderRequest {
		r := &flashv1.PlaceFlashOrderRequest{
			Promotion: usual("sale", texts(validRequest.promotion)).Draw(t, "promotion"),
			BuyerId:   usual("ann", texts(validRequest.buyerID)).Draw(t, "buyer"),
			RequestId: usual("r-1", texts(validRequest.requestID)).Draw(t, "request id"),
		}
		for i := range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 9, 10, 11}).Draw(t, "items") {
			r.Items = append(r.Items, &flashv1.FlashOrderItem{
				Sku:      usual("sku-"+string(rune('a'+i)), texts(validRequest.sku)).Draw(t, "sku"),
				Quantity: rapid.SampledFrom([]int64{1, 1, 1, 1, 9999, 10000, 0, -1}).Draw(t, "quantity"),
			})
		}
		for range rapid.SampledFrom([]int{0, 0, 1, 10, 11}).Draw(t, "tokens") {
			r.AdmissionTokens = append(r.AdmissionTokens, usual("token", texts(validRequest.token)).Draw(t, "token"))
		}
		return r
	})
}

// What is checked by hand must be what the proto says.
func TestRulesOfTheProtoByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request := requests().Draw(t, "request")
		err := validateRequest(request)
		want := protovalidate.Validate(request)
		if (err == nil) != (want == nil) {
			t.Fatalf("by hand: %v, by protovalidate: %v", err, want)
		}
		if err == nil {
			return
		}
		if rpcerr.Reason(err) != rpcerr.ReasonInvalidRequest {
			t.Errorf("reason %q", rpcerr.Reason(err))
		}
		var violations *protovalidate.ValidationError
		if !errors.As(want, &violations) {
			t.Fatalf("protovalidate failed: %v", want)
		}
		for _, v := range violations.Violations {
			if strings.Contains(err.Error(), protovalidate.FieldPathString(v.Proto.GetField())+": ") {
				return
			}
		}
		t.Errorf("by hand: %v, which names none of the fields of %v", err, want)
	})
}

// The rules that the check by hand knows are all there are: a new one has to be added to it.
func TestTheProtosRulesAreThoseCheckedByHand(t *testing.T) {
	var got []string
	for _, message := range []protoreflect.ProtoMessage{&flashv1.PlaceFlashOrderRequest{}, &flashv1.FlashOrderItem{}} {
		descriptor := message.ProtoReflect().Descriptor()
		if rules, err := protovalidate.ResolveMessageRules(descriptor); err != nil || rules != nil {
			t.Errorf("%s has rules of its own: %v %v", descriptor.Name(), rules, err)
		}
		for i := range descriptor.Fields().Len() {
			field := descriptor.Fields().Get(i)
			rules, err := protovalidate.ResolveFieldRules(field)
			if err != nil {
				t.Fatal(err)
			}
			if rules != nil {
				got = append(got, ruleNames(string(field.Name()), rules.ProtoReflect())...)
			}
		}
	}
	want := []string{
		"promotion.string.min_len", "promotion.string.max_len",
		"buyer_id.string.min_len", "buyer_id.string.max_len", "buyer_id.string.not_contains",
		"request_id.string.min_len", "request_id.string.max_len", "request_id.string.not_contains",
		"items.cel", "items.repeated.min_items", "items.repeated.max_items",
		"admission_tokens.repeated.max_items", "admission_tokens.repeated.items.string.max_len",
		"sku.string.min_len", "sku.string.max_len", "sku.string.not_contains",
		"quantity.int64.lte", "quantity.int64.gte",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the proto's rules (-by hand +proto):\n%s", diff)
	}
}

// ruleNames are the rules that a message of rules has set, by their path.
func ruleNames(path string, rules protoreflect.Message) []string {
	var names []string
	rules.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := path + "." + string(field.Name())
		if field.Message() != nil && !field.IsList() {
			names = append(names, ruleNames(name, value.Message())...)
		} else {
			names = append(names, name)
		}
		return true
	})
	return names
}
