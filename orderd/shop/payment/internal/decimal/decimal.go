// Package decimal reads and writes amounts as the providers print them: yuan with up to two
// decimals. Nothing is ever rounded.
package decimal

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// digits is how many decimals a yuan has.
const digits = 2

// maxLength bounds what is read: longer than any 64-bit amount.
const maxLength = 24

var errAmount = errors.New("not an amount with up to two decimals")

// Format prints an amount in minor units, such as 8801, as 88.01.
func Format(minor int64) string {
	sign, magnitude := "", uint64(minor)
	if minor < 0 {
		sign, magnitude = "-", -magnitude
	}
	return fmt.Sprintf("%s%d.%02d", sign, magnitude/100, magnitude%100)
}

// Parse reads 88.01, 88.1, 88 or -88.01 as minor units. Anything else, also more decimals than two
// even if they are zeros, is refused.
func Parse(text string) (int64, error) {
	if len(text) > maxLength {
		return 0, errAmount
	}
	whole, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(whole, ".")
	if !number(whole) || (dotted && !number(fraction)) || len(fraction) > digits {
		return 0, errAmount
	}
	fraction += strings.Repeat("0", digits-len(fraction))
	minor, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || minor > math.MaxInt64 {
		return 0, errAmount
	}
	if negative {
		return -int64(minor), nil
	}
	return int64(minor), nil
}

func number(text string) bool {
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return text != ""
}
