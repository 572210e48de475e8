package flash

import (
	"errors"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// texts around the rules' limits, in characters of one and of several bytes.
func texts(limit int) *rapid.Generator[string] {
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
			Promotion: usual("sale", texts(promotionChars)).Draw(t, "promotion"),
			BuyerId:   usual("ann", texts(textChars)).Draw(t, "buyer"),
			RequestId: usual("r-1", texts(textChars)).Draw(t, "request id"),
		}
		for i := range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 9, 10, 11}).Draw(t, "items") {
			r.Items = append(r.Items, &flashv1.FlashOrderItem{
				Sku:      usual("sku-"+string(rune('a'+i)), texts(textChars)).Draw(t, "sku"),
				Quantity: rapid.SampledFrom([]int64{1, 1, 1, 1, 9999, 10000, 0, -1}).Draw(t, "quantity"),
			})
		}
		for range rapid.SampledFrom([]int{0, 0, 1, 10, 11}).Draw(t, "tokens") {
			r.AdmissionTokens = append(r.AdmissionTokens, usual("token", texts(tokenChars)).Draw(t, "token"))
		}
		return r
	})
}

// What is checked by hand must be what the proto says.
func TestRulesOfTheProtoByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request := requests().Draw(t, "request")
		err := validate(request)
		want := protovalidate.Validate(request)
		if (err == nil) != (want == nil) {
			t.Fatalf("by hand: %v, by protovalidate: %v", err, want)
		}
		if err == nil {
			return
		}
		if rpcerr.Reason(err) != "INVALID_REQUEST" {
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

func TestBatchesKeepOrderWithinAPartition(t *testing.T) {
	one, other := &placed{}, &placed{}
	rapid.Check(t, func(t *rapid.T) {
		var b batches
		for range 2 {
			b.reset()
			type added struct {
				key     batchKey
				request *flashv1.PlaceFlashOrderRequest
			}
			var all []added
			for i := range rapid.IntRange(0, 200).Draw(t, "requests") {
				key := batchKey{rapid.SampledFrom([]*placed{one, other}).Draw(t, "promotion"), rapid.Int32Range(0, 7).Draw(t, "partition")}
				all = append(all, added{key, &flashv1.PlaceFlashOrderRequest{}})
				b.add(key, all[i].request, uint64(i))
			}
			seen := map[batchKey]bool{}
			count := 0
			b.each(func(key batchKey, requests []*flashv1.PlaceFlashOrderRequest, positions []uint64) {
				if seen[key] {
					t.Errorf("partition %d came twice", key.partition)
				}
				seen[key] = true
				for i, position := range positions {
					if all[position].key != key || all[position].request != requests[i] || i > 0 && position <= positions[i-1] {
						t.Errorf("position %d is in the wrong place", position)
					}
				}
				count += len(positions)
			})
			if count != len(all) {
				t.Errorf("%d requests came out of %d", count, len(all))
			}
		}
	})
}
