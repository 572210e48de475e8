package order

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestTotal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []Line
		want  int64
		fits  bool
	}{
		{"none", nil, 0, true},
		{"two", []Line{{Quantity: 2, UnitPrice: 250}, {Quantity: 1, UnitPrice: 99}}, 599, true},
		{"free", []Line{{Quantity: 3, UnitPrice: 0}}, 0, true},
		{"the largest", []Line{{Quantity: 1, UnitPrice: math.MaxInt64}}, math.MaxInt64, true},
		{"one more", []Line{{Quantity: 1, UnitPrice: math.MaxInt64}, {Quantity: 1, UnitPrice: 1}}, 0, false},
		{"a product too large", []Line{{Quantity: 3, UnitPrice: math.MaxInt64 / 2}}, 0, false},
		{"nothing of it", []Line{{Quantity: 0, UnitPrice: 1}}, 0, false},
		{"a negative price", []Line{{Quantity: 1, UnitPrice: -1}}, 0, false},
	} {
		got, fits := total(tt.lines)
		if got != tt.want || fits != tt.fits {
			t.Errorf("%s: %d, %t; want %d, %t", tt.name, got, fits, tt.want, tt.fits)
		}
	}
}

func TestPageTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		anyID := rapid.Custom(func(t *rapid.T) uuid.UUID {
			return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		})
		first, last, id := anyID.Draw(t, "first"), anyID.Draw(t, "last"), anyID.Draw(t, "id")
		inside := bytes.Compare(first[:], id[:]) <= 0 && bytes.Compare(id[:], last[:]) <= 0
		got, err := pageBelow(page.Token(id), first, last)
		if inside && (err != nil || got != id) {
			t.Fatalf("%s, %v; want %s", got, err, id)
		}
		if !inside && rpcerr.Reason(err) != "INVALID_PAGE_TOKEN" {
			t.Fatalf("outside the buyer's range: %s, %v", got, err)
		}
		token := rapid.String().Draw(t, "token")
		got, err = pageBelow(token, uuid.Nil, uuid.Max)
		switch {
		case token == "" && (err != nil || got != uuid.Max):
			t.Fatalf("the first page is below %s (%v), not below the end of the buyer's range", got, err)
		case token != "" && err == nil && page.Token(got) != token:
			t.Fatalf("token %q was taken as %s", token, got)
		}
	})
}

// A placed order's answer is stored in the bytes of its event.
func TestAnswersAreEventsInTheirBytes(t *testing.T) {
	o := &Order{
		BuyerID:  "ann",
		State:    PendingPayment,
		Version:  1,
		Currency: "CNY",
		Total:    5,
		Lines:    []Line{{SKU: "tea", Quantity: 1, UnitPrice: 5}},
	}
	raw, err := proto.Marshal(&orderv1.OrderPlaced{Order: o.proto()})
	if err != nil {
		t.Fatal(err)
	}
	got := &orderv1.PlaceOrderResponse{}
	if err := proto.Unmarshal(raw, got); err != nil || !proto.Equal(got.GetOrder(), o.proto()) ||
		len(got.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAcceptedOrdersThatCannotBeWritten(t *testing.T) {
	good := Accepted{
		OrderID:      uuid.New(),
		BuyerID:      "ann",
		PromotionUID: "sale",
		Promotion:    "sale",
		Currency:     "CNY",
		Items: []AcceptedItem{
			{SKU: "tea", Quantity: 2, UnitPrice: 99},
		},
		AcceptedAt: time.Unix(1000, 0),
		ExpiresAt:  time.Unix(1300, 0),
	}
	for name, change := range map[string]func(*Accepted){
		"without a promotion": func(a *Accepted) { a.PromotionUID = "" },
		"without items":       func(a *Accepted) { a.Items = nil },
		"of nothing":          func(a *Accepted) { a.Items = []AcceptedItem{{SKU: "tea"}} },
	} {
		bad := good
		change(&bad)
		bad.OrderID = uuid.New()
		if _, _, err := acceptedOrders([]Accepted{good, bad}); err == nil {
			t.Errorf("an order %s was taken", name)
		}
	}
	changes, skus, err := acceptedOrders([]Accepted{good, good})
	if err != nil || len(changes) != 1 {
		t.Fatalf("%d orders, %v", len(changes), err)
	}
	if diff := cmp.Diff([]string{"tea"}, skus); diff != "" {
		t.Error(diff)
	}
	want := &Order{
		ID:           good.OrderID,
		BuyerID:      "ann",
		State:        PendingPayment,
		Version:      1,
		Currency:     "CNY",
		Total:        198,
		PromotionUID: "sale",
		Promotion:    "sale",
		CreatedAt:    time.Unix(1000, 0).UTC(),
		ExpiresAt:    time.Unix(1300, 0).UTC(),
		Lines:        []Line{{SKU: "tea", Quantity: 2, UnitPrice: 99}},
	}
	if diff := cmp.Diff(want, changes[0].order); diff != "" {
		t.Error(diff)
	}
}

func TestStepRecordsWhatHappened(t *testing.T) {
	at := time.Unix(1000, 0).UTC()
	o := &Order{State: PendingPayment, Version: 1}
	if _, err := step(o, Expire, at, actorExpirer, reasonExpired); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Order{State: Cancelled, Version: 2, CancelledAt: &at, CancelReason: reasonExpired},
		o); diff != "" {
		t.Fatal(diff)
	}
	c, err := step(o, PayLate, at, "provider sandbox", "payment 1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Order{State: Paid, Version: 3, PaidAt: &at}, o); diff != "" {
		t.Fatal(diff)
	}
	if e, ok := c.published(); c.from != Cancelled || !ok || e.Name != eventPaid {
		t.Errorf("change %+v", c)
	}
	var refused *lifecycle.RefusedError
	if _, err := step(o, Expire, at, actorExpirer, reasonExpired); !errors.As(err, &refused) || o.Version != 3 {
		t.Errorf("expiring a paid order: %v, version %d", err, o.Version)
	}
}
