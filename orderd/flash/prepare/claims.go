package prepare

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

const (
	// maxAhead is how far an order's time may be after the one at which its record was stored. Each is by the
	// clock of one NATS server, and another one's may be wrong by minutes: no order is refused for that.
	maxAhead = 24 * time.Hour
	// maxToPay is the longest time to pay that a promotion can have.
	maxToPay = 7 * 24 * time.Hour
)

// MisfitError is a field of an accepted order that does not fit its promotion: no owner of a partition wrote
// it.
type MisfitError struct {
	// Field is named as in orderd/flash/v1/log.proto, or "subject", which is the record's.
	Field string
	Why   string
}

// Error names the field and the reason.
func (m *MisfitError) Error() string { return m.Field + ": " + m.Why }

// Claims compares what a promotion's log says with what the promotion is. Whoever may write to the log,
// rightly or not, can write anything. Safe for concurrent use.
//
// Only what cannot change once the promotion is prepared is compared exactly: who reads the log may have heard of a
// change (limits, start and end, the time to pay) later than the owner who went by it, or earlier, and an order that
// an owner acknowledged must not be refused.
type Claims struct {
	promo *promotion.Promotion
}

// NewClaims takes a definition over.
func NewClaims(promo *flashv1.Promotion) *Claims { return &Claims{promo: promotion.New(promo)} }

// Place is where a record was found.
type Place struct {
	Subject string
	// Stream is its index in the promotion's streams.
	Stream int32
	// Stored is when the server took it.
	Stored time.Time
}

// Misfits are the first misfits of a record's orders, by their index; nil: all fit.
//
// own tells whether an order's id is one that the buyer can have; nil: it is not asked.
func (c *Claims) Misfits(
	at Place, reservations []*flashv1.Reservation, own func(buyer string, id uuid.UUID) bool,
) map[int]*MisfitError {
	var found map[int]*MisfitError
	n, wrong := c.partition(at)
	for i, r := range reservations {
		misfit := wrong
		for _, check := range []func() *MisfitError{
			func() *MisfitError { return c.checkBuyer(at, n, r, own) },
			func() *MisfitError { return c.checkItems(at, r) },
			func() *MisfitError { return c.checkTerms(at, r) },
		} {
			if misfit == nil {
				misfit = check()
			}
		}
		if misfit != nil {
			if found == nil {
				found = map[int]*MisfitError{}
			}
			found[i] = misfit
		}
	}
	return found
}

// partition is the one whose subject the record has.
func (c *Claims) partition(at Place) (int32, *MisfitError) {
	misfit := &MisfitError{"subject", fmt.Sprintf("%s is none of the partitions of stream %d of the promotion", at.Subject,
		at.Stream)}
	token := at.Subject[strings.LastIndexByte(at.Subject, '.')+1:]
	parsed, err := strconv.ParseInt(token, 10, 32)
	n, per := int32(parsed), c.promo.PerStream()
	if err != nil || at.Subject != plog.Subject(c.promo.GetUid(), n) || n < 0 || per < 1 || n/per != at.Stream {
		return 0, misfit
	}
	return n, nil
}

func (c *Claims) checkBuyer(at Place, n int32, r *flashv1.Reservation, own func(string, uuid.UUID) bool) *MisfitError {
	if r.GetBuyerId() == "" {
		return &MisfitError{"buyer_id", "is empty"}
	}
	if of := c.promo.Partition(r.GetBuyerId(), at.Stream); of != n {
		return &MisfitError{"buyer_id", fmt.Sprintf("the buyer's requests belong to partition %d, not %d", of, n)}
	}
	if r.GetRequestId() == "" {
		return &MisfitError{"request_id", "is empty"}
	}
	if id, err := uuid.FromBytes(r.GetOrderId()); own != nil && (err != nil || !own(r.GetBuyerId(), id)) {
		return &MisfitError{"order_id", "is none that the buyer can have"}
	}
	return nil
}

func (c *Claims) checkItems(at Place, r *flashv1.Reservation) *MisfitError {
	if len(r.GetItems()) == 0 {
		return &MisfitError{"items", "there are none"}
	}
	seen := make(map[string]bool, len(r.GetItems()))
	for _, item := range r.GetItems() {
		sku := item.GetSku()
		promoted := c.promo.Item(sku)
		switch {
		case promoted == nil:
			return &MisfitError{"items.sku", fmt.Sprintf("%q is not in the promotion", sku)}
		case promoted.GetStream() != at.Stream:
			return &MisfitError{"items.sku", fmt.Sprintf("%s is sold in stream %d, not %d", sku, promoted.GetStream(),
				at.Stream)}
		case seen[sku]:
			return &MisfitError{"items.sku", sku + " is there twice"}
		case item.GetQuantity() < 1:
			return &MisfitError{"items.quantity", fmt.Sprintf("%d of %s", item.GetQuantity(), sku)}
		case item.GetUnitPrice() != promoted.GetUnitPrice():
			return &MisfitError{"items.unit_price", fmt.Sprintf("%s costs %d, not %d", sku, promoted.GetUnitPrice(),
				item.GetUnitPrice())}
		}
		seen[sku] = true
	}
	return nil
}

func (c *Claims) checkTerms(at Place, r *flashv1.Reservation) *MisfitError {
	if r.GetCurrency() != c.promo.GetCurrency() {
		return &MisfitError{"currency", fmt.Sprintf("is %q, not %q", r.GetCurrency(), c.promo.GetCurrency())}
	}
	accepted, expires := time.UnixMilli(r.GetAcceptedAtUnixMs()), time.UnixMilli(r.GetExpiresAtUnixMs())
	if accepted.Sub(at.Stored) > maxAhead {
		return &MisfitError{"accepted_at_unix_ms", fmt.Sprintf("is %s, and the record was stored at %s",
			accepted.UTC().Format(time.RFC3339), at.Stored.UTC().Format(time.RFC3339))}
	}
	if toPay := expires.Sub(accepted); toPay <= 0 || toPay > maxToPay {
		return &MisfitError{"expires_at_unix_ms", fmt.Sprintf("is %s after accepted_at_unix_ms", toPay)}
	}
	return nil
}
