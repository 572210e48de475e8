// Package desk is what the shop's staff find orders by, see of them and change. Orders are found by a table of its own,
// a row an order, that follows the events of orders; it is made from what the domains say of the order at that moment,
// so that events may come in any sequence, more than once, or about orders that are not there. What is answered is read
// from the domains, and changes are made by them.
package desk

import (
	"cmp"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// Options of a Service. Pool, Orders and Clock have to be set.
type Options struct {
	Pool   *pgxpool.Pool
	Orders *order.Store
	Clock  func() time.Time
	// MostScanned is how many rows of an index one call looks at, for each filter; 10,000 if zero. FirstScanned is how
	// many a page looks at first where the filter says more than its index; 200 if zero.
	MostScanned, FirstScanned int
}

const (
	mostScanned  = 10_000
	firstScanned = 200
)

// Service is the handler of DeskService. Requests reach it validated.
type Service struct {
	pool   *pgxpool.Pool
	orders *order.Store
	now    func() time.Time
	bounds bounds
}

// NewService makes a service.
func NewService(o Options) *Service {
	return &Service{
		pool: o.Pool, orders: o.Orders, now: o.Clock,
		bounds: bounds{most: cmp.Or(o.MostScanned, mostScanned), first: cmp.Or(o.FirstScanned, firstScanned)},
	}
}

// The kinds of terms, as they are stored.
const (
	kindSKU         = "sku"
	kindTag         = "tag"
	kindCoupon      = "coupon"
	kindTransaction = "transaction"
	kindTracking    = "tracking"
	kindAttribute   = "attribute"
)

// attributeTerm is an attribute as it is stored: keys have no '='.
func attributeTerm(key, value string) string { return key + "=" + value }

// phoneDigits is how many of a phone number's last digits are compared: with or without what is dialled before them.
const phoneDigits = 8

// phoneKey is what of a phone number is compared: full-width digits are digits as well.
func phoneKey(phone string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, norm.NFKC.String(phone))
	return digits[max(0, len(digits)-phoneDigits):]
}

// nameKey is a name as it is compared: in one Unicode form, width and case, with single blanks.
func nameKey(name string) string {
	return norm.NFKC.String(strings.Join(strings.Fields(cases.Fold().String(norm.NFKC.String(name))), " "))
}

// trackingKey is a tracking number as it is compared: in capitals, without what people put between its parts.
func trackingKey(number string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return unicode.ToUpper(r)
	}, norm.NFKC.String(number))
}
