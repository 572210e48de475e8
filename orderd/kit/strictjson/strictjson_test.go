package strictjson

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestUnknownFields(t *testing.T) {
	place, upsert := &flashv1.PlaceFlashOrderRequest{}, &couponv1.UpsertCouponTemplateRequest{}
	tests := []struct {
		name string
		into proto.Message
		text string
		// want is the path of the unknown field; empty: the text is taken.
		want string
	}{
		{"all are known", place, `{"promotion":"sale","requestId":"r","items":[{"sku":"a","quantity":"1"}]}`, ""},
		{"names as in the proto", place, `{"request_id":"r"}`, ""},
		{"nothing", place, `{}`, ""},
		{"null", place, `{"requestId":null,"items":null}`, ""},
		{"misspelt", place, `{"promotionn":"sale"}`, "promotionn"},
		{"in capitals", place, `{"Promotion":"sale"}`, "Promotion"},
		{"in a list", place, `{"items":[{"sku":"a"},{"sku":"b","quantty":"1"}]}`, "items[1].quantty"},
		{"nested twice", upsert, `{"template":{"budget":{"mony":"100"}}}`, "template.budget.mony"},
		{"the first of several", upsert, `{"template":{"z":1,"a":2},"b":3}`, "template.z"},
		{"a time is no message of ours", upsert, `{"template":{"claimFrom":"2026-11-11T00:00:00Z","x":1}}`, "template.x"},
		{"its value does not matter", place, `{"x":{"y":[{"z":null}]}}`, "x"},
		{"a number beyond a float", place, `{"x":1e999}`, "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			into := tt.into.ProtoReflect().New().Interface()
			err := New().UnmarshalRead(context.Background(), strings.NewReader(tt.text), into)
			if got := fieldOf(err); got != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("%v, field %q, want %q", err, got, tt.want)
			}
		})
	}
}

// fieldOf is the field that an UNKNOWN_FIELD error names.
func fieldOf(err error) string {
	var cerr *connect.Error
	if !errors.As(err, &cerr) || rpcerr.Reason(err) != rpcerr.ReasonUnknownField {
		return ""
	}
	return rpcerr.Metadata(err)["field"]
}

// What is wrong in another way is told as it is.
func TestOtherMistakesStayWhatTheyAre(t *testing.T) {
	for _, text := range []string{
		"", "{", "[]", `"x"`, `{"items":{}}`, `{"items":[{"quantity":"x"}]}`, `{"promotion":1}`,
		`{"promotion":"a","promotion":"b"}`, `{"items":[{]}`,
	} {
		err := New().UnmarshalRead(context.Background(), strings.NewReader(text), &flashv1.PlaceFlashOrderRequest{})
		if err == nil || rpcerr.Reason(err) != "" {
			t.Errorf("%q: %v, want an error of the text", text, err)
		}
	}
}

func TestAFieldWithoutAName(t *testing.T) {
	err := New().UnmarshalRead(context.Background(), strings.NewReader(`{"":1}`), &flashv1.PlaceFlashOrderRequest{})
	if rpcerr.Reason(err) != rpcerr.ReasonUnknownField {
		t.Errorf("%v, want UNKNOWN_FIELD", err)
	}
}

func TestAPathIsBounded(t *testing.T) {
	text := `{"` + strings.Repeat("é", 1000) + `":1}`
	err := New().UnmarshalRead(context.Background(), strings.NewReader(text), &flashv1.PlaceFlashOrderRequest{})
	if got := fieldOf(err); len(got) > maxPath+len("…") || !strings.HasPrefix(got, "éé") {
		t.Errorf("a path of %d bytes", len(got))
	}
}

// Whatever a message is, an unknown field is found wherever it stands, and without one all is as usual.
func TestAnUnknownFieldIsFoundAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := `{"name":"a"`
		if rapid.Bool().Draw(t, "budget") {
			known += `,"budget":{"coupons":"3"%s}`
		}
		known += "%s}"
		text := `{"requestId":"r","template":` + known + "%s}"
		holes := strings.Count(text, "%s")
		at := rapid.IntRange(0, holes-1).Draw(t, "at")
		name := rapid.StringMatching(`x[a-z_]{1,8}`).Draw(t, "name")
		fill := make([]any, holes)
		for i := range fill {
			fill[i] = ""
		}
		clean := fmt.Sprintf(text, fill...)
		if err := New().UnmarshalRead(context.Background(), strings.NewReader(clean),
			&couponv1.UpsertCouponTemplateRequest{}); err != nil {
			t.Fatal(err)
		}
		fill[at] = fmt.Sprintf(`,%q:{"a":[1]}`, name)
		want := []string{"template.budget." + name, "template." + name, name}[at+3-holes]
		err := New().UnmarshalRead(context.Background(), strings.NewReader(fmt.Sprintf(text, fill...)),
			&couponv1.UpsertCouponTemplateRequest{})
		if got := fieldOf(err); got != want {
			t.Errorf("%v, field %q, want %q", err, got, want)
		}
	})
}

// FuzzCodec: it takes exactly what protojson takes that knows no more than the message has, and says
// UNKNOWN_FIELD only of what protojson would take with the field left out or refuses for it.
func FuzzCodec(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"sku":"a","quantity":"1"}]}`, `{"items":[{"x":1}]}`, `{`, `[]`, `{"a":{"b":[]}}`,
		`{"promotion":"\ud800"}`, `{"items":[[]]}`, "\xff", `{"items":null,"x":0}`,
	} {
		f.Add(seed)
	}
	loose := connectproto.NewJSONCodec()
	f.Fuzz(func(t *testing.T, text string) {
		var ours, strict, dropped flashv1.PlaceFlashOrderRequest
		err := New().UnmarshalRead(context.Background(), strings.NewReader(text), &ours)
		if want := protojson.Unmarshal([]byte(text), &strict); text != "" && (err == nil) != (want == nil) {
			t.Fatalf("%v, protojson: %v", err, want)
		}
		if err == nil && !proto.Equal(&ours, &strict) {
			t.Fatalf("%v, protojson: %v", &ours, &strict)
		}
		lerr := loose.UnmarshalRead(context.Background(), strings.NewReader(text), &dropped)
		if lerr == nil && err != nil && rpcerr.Reason(err) != rpcerr.ReasonUnknownField {
			t.Fatalf("%v is refused for nothing but an unknown field, and says %v", text, err)
		}
	})
}
