package prepare_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

// What a promotion may change while it is sold is not compared: an owner may have gone by what its reader has not heard
// of yet, and no order that was acknowledged is refused.
func TestMisfits(t *testing.T) {
	published := time.UnixMilli(1_800_000_000_000)
	promo := newPromotion(2, 2, prepare.Item{SKU: "a"}, prepare.Item{SKU: "b"})
	promo.Items[0].LimitPerBuyer, promo.Currency, promo.PaymentTimeoutMs = 3, "EUR", time.Minute.Milliseconds()
	promo.StartUnixMs, promo.EndUnixMs = published.UnixMilli(), published.Add(time.Hour).UnixMilli()
	claims := prepare.NewClaims(promo)
	// of is an order of a buyer of partition 0, at a time after the definition.
	of := func(after time.Duration, units int64) *flashv1.Reservation {
		id, at := uuid.New(), published.Add(after)
		return &flashv1.Reservation{
			OrderId: id[:], BuyerId: "ann", RequestId: "r", Currency: "EUR", AcceptedAtUnixMs: at.UnixMilli(),
			ExpiresAtUnixMs: at.Add(time.Minute).UnixMilli(),
			Items:           []*flashv1.ReservedItem{{Sku: "a", Quantity: units, UnitPrice: 100}},
		}
	}
	longer := func(r *flashv1.Reservation) *flashv1.Reservation {
		r.ExpiresAtUnixMs += 1000
		return r
	}
	toPay := func(after, toPay time.Duration) *flashv1.Reservation {
		r := of(after, 1)
		r.ExpiresAtUnixMs = r.AcceptedAtUnixMs + toPay.Milliseconds()
		return r
	}
	otherStream := of(time.Hour/2, 1)
	otherStream.Items[0].Sku = "b"
	const late = 30 * time.Minute
	subject := plog.Subject(uid, 0)
	tests := []struct {
		name    string
		subject string
		stored  time.Duration
		orders  []*flashv1.Reservation
		// want is the field of the last order; "": all fit.
		want string
	}{
		{"within the limit", subject, late, []*flashv1.Reservation{of(late, 3)}, ""},
		{"over a limit that was raised", subject, late, []*flashv1.Reservation{of(late, 4)}, ""},
		{"with another time to pay", subject, late, []*flashv1.Reservation{longer(of(late, 1))}, ""},
		{"before the start that was told last", subject, late, []*flashv1.Reservation{of(-time.Second, 1)}, ""},
		{"after the end that was told last", subject, 2 * time.Hour, []*flashv1.Reservation{of(2*time.Hour, 1)}, ""},
		{"by a server whose clock is ahead", subject, late, []*flashv1.Reservation{of(late+20*time.Minute, 1)}, ""},
		{"by a server whose clock is behind", subject, late, []*flashv1.Reservation{of(late-20*time.Minute, 1)}, ""},
		{"of a day to come", subject, late, []*flashv1.Reservation{of(late+25*time.Hour, 1)}, "accepted_at_unix_ms"},
		{"with no time to pay", subject, late, []*flashv1.Reservation{toPay(late, 0)}, "expires_at_unix_ms"},
		{"with years to pay", subject, late, []*flashv1.Reservation{toPay(late, 10_000*time.Hour)}, "expires_at_unix_ms"},
		{"of another stream's item", subject, late, []*flashv1.Reservation{otherStream}, "items.sku"},
		{"in another promotion's log", plog.Subject("other", 0), late, []*flashv1.Reservation{of(late, 1)}, "subject"},
		{"in another stream's partition", plog.Subject(uid, 1), late, []*flashv1.Reservation{of(late, 1)}, "subject"},
		{"in no partition", plog.Subject(uid, 7), late, []*flashv1.Reservation{of(late, 1)}, "subject"},
		{"in a partition below none", plog.Subject(uid, -1), late, []*flashv1.Reservation{of(late, 1)}, "subject"},
		{"in a partition of another name", subject + "x", late, []*flashv1.Reservation{of(late, 1)}, "subject"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found := claims.Misfits(prepare.Place{Subject: test.subject, Stored: published.Add(test.stored)}, test.orders, nil)
			got := ""
			if m := found[len(test.orders)-1]; m != nil {
				got = m.Field
			}
			if got != test.want || test.want == "" && len(found) > 0 {
				t.Errorf("misfits %v, want %q", found, test.want)
			}
		})
	}
}

func TestAMalformedPromotionFitsNothing(t *testing.T) {
	p := newPromotion(2, 1, prepare.Item{SKU: "a"})
	found := prepare.NewClaims(p).Misfits(
		prepare.Place{Subject: plog.Subject(uid, 0), Stored: time.UnixMilli(1)}, []*flashv1.Reservation{{}}, nil)
	if len(found) != 1 || found[0].Field != "subject" {
		t.Errorf("misfits %v", found)
	}
}
