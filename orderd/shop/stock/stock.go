// Package stock owns how many of each SKU are available, reserved and deducted, and the movements
// that prove it: for every SKU the three are the sums of its movements, and together they are what
// was ever added, net of what was taken out again. A hot SKU's stock is spread over several rows,
// its buckets, so that transactions that reserve it do not all wait for one row; for each bucket
// the sums hold as well.
package stock

import (
	"fmt"
	"strings"
)

// Quantity is a number of units of a SKU.
type Quantity struct {
	SKU      string
	Quantity int64
}

// Levels are a SKU's stock, in units: the sum of its buckets.
type Levels struct {
	// Available is free to be ordered.
	Available int64
	// Reserved is held by unpaid orders and by promotions.
	Reserved int64
	// Deducted is sold: held by paid orders.
	Deducted int64
}

// Movement is one change of a SKU's stock. Ref, kind and SKU are its key: it happens once.
type Movement struct {
	ref, kind, sku                string
	available, reserved, deducted int64
	// bucket that it changes, unless the same order's movement of one of the kinds in after tells it.
	bucket int64
	// of is the ref of that movement.
	of    string
	after [2]string
}

// SKU whose stock it changes.
func (m Movement) SKU() string { return m.sku }

// takes tells whether the movement needs units that are available.
func (m Movement) takes() bool { return m.available < 0 }

// promotes tells whether the movement puts units into a promotion. They are always in bucket 0.
func (m Movement) promotes() bool {
	return m.kind == kindAllocate || strings.HasPrefix(m.kind, kindTopUp)
}

const (
	kindAdd      = "ADD"
	kindReserve  = "RESERVE"
	kindDeduct   = "DEDUCT"
	kindRelease  = "RELEASE"
	kindTake     = "TAKE"
	kindRestock  = "RESTOCK"
	kindAllocate = "PROMOTION_ALLOCATE"
	kindReturn   = "PROMOTION_RETURN"
)

// Add puts units in stock, or takes available ones out if the quantity is negative; ref is the
// request's key. See also Adjust.
func Add(ref string, q Quantity) Movement {
	return Movement{ref: ref, kind: kindAdd, sku: q.SKU, available: q.Quantity}
}

// Reserve holds available units for an order that was placed.
func Reserve(orderID string, q Quantity) Movement {
	return Movement{ref: orderID, kind: kindReserve, sku: q.SKU, available: -q.Quantity, reserved: q.Quantity}
}

// Deduct makes an order's reserved units sold.
func Deduct(orderID string, q Quantity) Movement {
	return Movement{
		ref:      orderID,
		kind:     kindDeduct,
		sku:      q.SKU,
		reserved: -q.Quantity,
		deducted: q.Quantity,
		of:       orderID,
		after:    [2]string{kindReserve},
	}
}

// Release makes an order's reserved units available again.
func Release(orderID string, q Quantity) Movement {
	return Movement{
		ref:       orderID,
		kind:      kindRelease,
		sku:       q.SKU,
		available: q.Quantity,
		reserved:  -q.Quantity,
		of:        orderID,
		after:     [2]string{kindReserve},
	}
}

// Take makes available units sold at once: for an order that is paid after its units were released.
func Take(orderID string, q Quantity) Movement {
	return Movement{ref: orderID, kind: kindTake, sku: q.SKU, available: -q.Quantity, deducted: q.Quantity}
}

// Restock makes an order's sold units available again. key tells several restocks of an order apart.
func Restock(orderID, key string, q Quantity) Movement {
	return Movement{
		ref: orderID + "/" + key, kind: kindRestock, sku: q.SKU, available: q.Quantity, deducted: -q.Quantity,
		of: orderID, after: [2]string{kindDeduct, kindTake},
	}
}

// A promotion's stock is always in bucket 0, where the movements of its orders look for it.
func allocate(promotionUID string, q Quantity) Movement {
	return Movement{ref: promotionUID, kind: kindAllocate, sku: q.SKU, available: -q.Quantity, reserved: q.Quantity}
}

func giveBack(promotionUID string, q Quantity) Movement {
	return Movement{ref: promotionUID, kind: kindReturn, sku: q.SKU, available: q.Quantity, reserved: -q.Quantity}
}

// InsufficientError says that there is too little stock, and for each SKU how much is missing.
type InsufficientError struct{ Missing []Quantity }

// Error lists what is missing.
func (e *InsufficientError) Error() string {
	parts := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		parts[i] = fmt.Sprintf("%s: %d", m.SKU, m.Quantity)
	}
	return "insufficient stock, missing " + strings.Join(parts, ", ")
}

// UnknownSKUError says which SKUs there are none of, not even a row of zeros.
type UnknownSKUError struct{ SKUs []string }

// Error lists the SKUs.
func (e *UnknownSKUError) Error() string { return "unknown SKU " + strings.Join(e.SKUs, ", ") }
