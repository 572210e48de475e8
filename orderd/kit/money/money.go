// Package money divides and adds amounts: 64-bit integers of a currency's minor unit.
package money

import (
	"math"
	"math/bits"
	"slices"
)

// Split divides total over the weights by the largest remainder, so that the parts sum to exactly
// total: each part is the exact share rounded down, and the units that are left go one each to
// those that lost most by the rounding, the earlier one first. If all weights are zero, total is
// divided evenly. A negative total is divided as its opposite is. A negative weight counts as zero.
// Without weights there are no parts, and the caller keeps total.
func Split(total int64, weights []int64) []int64 {
	if len(weights) == 0 {
		return nil
	}
	parts := make([]int64, len(weights))
	if total == 0 {
		return parts
	}
	scaled, sum := scale(weights)
	amount := magnitude(total)
	left := amount
	lost := make([]uint64, len(weights))
	for i, w := range scaled {
		hi, lo := bits.Mul64(amount, w)
		part, remainder := bits.Div64(hi, lo, sum)
		parts[i], lost[i] = int64(part), remainder
		left -= part
	}
	for _, i := range byLoss(lost)[:left] {
		parts[i]++
	}
	if total < 0 {
		for i := range parts {
			parts[i] = -parts[i]
		}
	}
	return parts
}

// scale returns the weights and their sum, which is not zero and fits.
func scale(weights []int64) ([]uint64, uint64) {
	// Weights that sum to more than 64 bits are shifted: what they lose is less than
	// rounding an amount does.
	shift := 0
	var largest int64
	for _, w := range weights {
		largest = max(largest, w)
	}
	if bits.Len64(uint64(largest))+bits.Len(uint(len(weights))) > 64 {
		shift = bits.Len(uint(len(weights)))
	}
	scaled := make([]uint64, len(weights))
	var sum uint64
	for i, w := range weights {
		scaled[i] = uint64(max(w, 0)) >> shift
		sum += scaled[i]
	}
	if sum > 0 {
		return scaled, sum
	}
	for i := range scaled {
		scaled[i] = 1
	}
	return scaled, uint64(len(scaled))
}

// byLoss returns the indexes by falling loss, equal ones by rising index. There are always fewer
// units left than there are weights that lost something.
func byLoss(lost []uint64) []int {
	order := make([]int, len(lost))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case lost[a] > lost[b]:
			return -1
		case lost[a] < lost[b]:
			return 1
		}
		return 0
	})
	return order
}

// Share is total * part / whole, rounded down, for 0 <= part <= whole and total >= 0: what
// the first part of whole units of something that was paid with total is worth. The share of
// units after others is Share of all of them less Share of the others, so that the shares of
// all units sum to exactly total. Outside these limits it is the nearest inside them; of no
// units at all it is 0.
func Share(total, part, whole int64) int64 {
	if total <= 0 || part <= 0 || whole <= 0 {
		return 0
	}
	if part >= whole {
		return total
	}
	hi, lo := bits.Mul64(uint64(total), uint64(part))
	share, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(share)
}

// Round is total * part / whole, rounded half up, with the limits of Share.
func Round(total, part, whole int64) int64 {
	if total <= 0 || part <= 0 || whole <= 0 {
		return 0
	}
	if part >= whole {
		return total
	}
	hi, lo := bits.Mul64(uint64(total), uint64(part))
	share, remainder := bits.Div64(hi, lo, uint64(whole))
	if remainder >= uint64(whole)-remainder {
		share++
	}
	return int64(share)
}

// Mul multiplies two amounts that are not negative, and tells whether the product fits.
func Mul(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if a < 0 || b < 0 || hi > 0 || lo > math.MaxInt64 {
		return 0, false
	}
	return int64(lo), true
}

// Add adds two amounts that are not negative, and tells whether the sum fits.
func Add(a, b int64) (int64, bool) {
	if a < 0 || b < 0 || a > math.MaxInt64-b {
		return 0, false
	}
	return a + b, true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
