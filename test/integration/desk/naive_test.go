package desk_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
)

// has tells whether nothing was asked for, or what is there.
func has[T comparable](asked, have T) bool {
	var none T
	return asked == none || asked == have
}

// among tells whether nothing was asked for, or one of those with their names' prefix is there.
func among[E fmt.Stringer](asked []E, have string) bool {
	return len(asked) == 0 || slices.ContainsFunc(asked, func(e E) bool { return e.String() == have })
}

func within(r *deskv1.TimeRange, at *time.Time) bool {
	if r.GetSince() == nil && r.GetUntil() == nil {
		return true
	}
	return at != nil && (r.GetSince() == nil || !at.Before(r.GetSince().AsTime())) &&
		(r.GetUntil() == nil || at.Before(r.GetUntil().AsTime()))
}

func lastDigits(phone string) string {
	var digits string
	for _, r := range phone {
		if '0' <= r && r <= '9' {
			digits += string(r)
		}
	}
	return digits[max(0, len(digits)-8):]
}

func sameName(a, b string) bool {
	form := func(s string) string { return strings.Join(strings.Fields(norm.NFD.String(s)), " ") }
	return strings.EqualFold(form(a), form(b))
}

// matches is what a filter asks for, said in the plainest way.
func (s *sample) matches(f *deskv1.OrderFilter, now time.Time) bool {
	unpaid := time.Duration(f.GetUnpaidSeconds()) * time.Second
	total := f.GetTotal()
	phone, name := lastDigits(s.address.GetPhone()), s.address.GetRecipient()
	returned := s.returned
	if returned != "" {
		returned = "RETURN_STATE_" + returned
	}
	_, attribute := s.attributes[f.GetAttributeKey()]
	return among(f.GetStates(), "ORDER_STATE_"+s.state) && among(f.GetFulfilmentStatuses(), s.fulfilment) &&
		among(f.GetRefundStatuses(), s.refund) && among(f.GetReturnStates(), returned) &&
		within(f.GetPlaced(), &s.created) && within(f.GetPaid(), s.paidAt) &&
		has(f.GetBuyerId(), s.buyer) && has(f.GetPromotion(), s.promotion) && has(f.GetChannel(), s.channel) &&
		has(f.GetProvider(), s.provider) && has(f.GetMethod(), s.method) &&
		(f.GetPhone() == "" || phone != "" && lastDigits(f.GetPhone()) == phone) &&
		(f.GetRecipient() == "" || name != "" && sameName(f.GetRecipient(), name)) &&
		(f.GetSku() == "" || slices.Contains(s.skus, f.GetSku())) &&
		(f.GetTransactionId() == "" || slices.Contains(s.transactions, f.GetTransactionId())) &&
		(f.GetTrackingNumber() == "" || slices.Contains(s.tracking, f.GetTrackingNumber())) &&
		(f.GetCouponId() == "" || slices.Contains(s.coupons, uuid.MustParse(f.GetCouponId()))) &&
		(f.GetAttributeKey() == "" || attribute && s.attributes[f.GetAttributeKey()] == f.GetAttributeValue()) &&
		!slices.ContainsFunc(f.GetTags(), func(t string) bool { return !slices.Contains(s.tags, t) }) &&
		(unpaid == 0 || s.state == "PENDING_PAYMENT" && !s.created.After(now.Add(-unpaid))) &&
		(f.GetHasNote() == 0 || (f.GetHasNote() == deskv1.Choice_CHOICE_YES) == (s.notes > 0)) &&
		(total == nil || s.currency == total.GetCurrency() && s.total >= total.GetLeast() &&
			(total.GetMost() == 0 || s.total <= total.GetMost()))
}

// expected are the ids that a filter asks for, in their order.
func expected(samples []*sample, f *deskv1.OrderFilter, now time.Time, oldest bool) []string {
	var matching []*sample
	for _, s := range samples {
		if s.matches(f, now) {
			matching = append(matching, s)
		}
	}
	at := func(s *sample) time.Time { return s.created }
	if inOrderOfPaying(f) {
		at = func(s *sample) time.Time { return *s.paidAt }
	}
	slices.SortFunc(matching, func(a, b *sample) int {
		c := at(a).Compare(at(b))
		if c == 0 {
			c = bytes.Compare(a.id[:], b.id[:])
		}
		if !oldest {
			c = -c
		}
		return c
	})
	ids := []string{}
	for _, s := range matching {
		ids = append(ids, s.id.String())
	}
	return ids
}

// inOrderOfPaying tells whether nothing that comes before the time of paying is asked for.
func inOrderOfPaying(f *deskv1.OrderFilter) bool {
	rest := proto.CloneOf(f)
	if rest.GetPaid().GetSince() == nil && rest.GetPaid().GetUntil() == nil {
		return false
	}
	if slices.Contains(rest.GetRefundStatuses(), orderv1.RefundStatus_REFUND_STATUS_NONE) {
		rest.RefundStatuses = nil
	}
	if rest.GetHasNote() == deskv1.Choice_CHOICE_NO {
		rest.HasNote = 0
	}
	rest.Paid, rest.Placed, rest.Method, rest.Total = nil, nil, "", nil
	return proto.Equal(rest, &deskv1.OrderFilter{})
}

// asks are what a filter may say, one each.
var asks = []func(r *rand.Rand, f *deskv1.OrderFilter, begin time.Time){
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.States = nil
		for _, s := range append(some(r, someStates), pick(r, someStates)) {
			if e := orderv1.OrderState(orderv1.OrderState_value["ORDER_STATE_"+s]); !slices.Contains(f.GetStates(), e) {
				f.States = append(f.States, e)
			}
		}
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.FulfilmentStatuses = []orderv1.FulfilmentStatus{orderv1.FulfilmentStatus(1 + r.IntN(2)), 5}[:1+r.IntN(2)]
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.RefundStatuses = []orderv1.RefundStatus{orderv1.RefundStatus(1 + r.IntN(2)), 4}[:1+r.IntN(2)]
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.ReturnStates = []returnsv1.ReturnState{
			returnsv1.ReturnState(returnsv1.ReturnState_value["RETURN_STATE_"+pick(r, someReturns)]),
		}
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, begin time.Time) { f.Placed = randomRange(r, begin) },
	func(r *rand.Rand, f *deskv1.OrderFilter, begin time.Time) { f.Paid = randomRange(r, begin) },
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.BuyerId = pick(r, append(someBuyers, "nobody"))
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.Phone = pick(r, []string{"138-0013-8000", "00138000", "+86 13900139000", "12345", "2345", "n/a"})
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.Recipient = pick(r, []string{"ann  LEE", "Jose\u0301", "JOSÉ", "李雷", "李", " "})
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) { f.Sku = pick(r, append(someSKUs, "none")) },
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.Promotion = pick(r, []string{"spring", "autumn"})
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.CouponId = strings.ToUpper(pick(r, someCoupons).String())
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.Provider = pick(r, append(someProviders, "alipay"))
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.Method = pick(r, append(someMethods, "page"))
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.Total = &deskv1.AmountRange{Currency: pick(r, someCurrencies), Least: r.Int64N(20), Most: r.Int64N(20)}
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) { f.Channel = pick(r, []string{"web", "app"}) },
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) { f.Tags = some(r, someTags) },
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) { f.HasNote = deskv1.Choice(1 + r.IntN(2)) },
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) { f.UnpaidSeconds = 1 + r.Int64N(4*3600) },
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.TransactionId = fmt.Sprintf("tx-%d", r.IntN(40))
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.TrackingNumber = fmt.Sprintf("SF-%d", r.IntN(40))
	},
	func(r *rand.Rand, f *deskv1.OrderFilter, _ time.Time) {
		f.AttributeKey, f.AttributeValue = pick(r, []string{"campaign", "clerk"}), pick(r, someValues)
		if r.IntN(4) == 0 {
			f.AttributeKey, f.AttributeValue = "campaign=b", "c"
		}
	},
}

// randomRange has both ends, or one, on the samples' minutes.
func randomRange(r *rand.Rand, begin time.Time) *deskv1.TimeRange {
	from := begin.Add(time.Duration(r.IntN(60)) * time.Minute)
	out := &deskv1.TimeRange{Since: timestamppb.New(from), Until: timestamppb.New(from.Add(20 * time.Minute))}
	switch r.IntN(3) {
	case 0:
		out.Since = nil
	case 1:
		out.Until = nil
	}
	return out
}
