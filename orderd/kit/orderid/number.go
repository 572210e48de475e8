package orderid

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"

	"github.com/google/uuid"
)

// digits of numbers: Crockford's, which has no letters that are taken for a digit or make words.
const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// numberChars is how many characters follow the day, numberLength how long a number is without dashes.
const (
	numberChars  = 10
	numberLength = 6 + numberChars + 1
)

// Number is an id's number for people, such as 261130-7K3MX-9QZ4T-C: the day (UTC) on which the id was made, 50
// bits of a hash of the id, and a check digit. It tells nobody how many orders there are. Of a million ids of one
// day two have the same number once in some years.
func Number(id uuid.UUID) string {
	sum := sha256.Sum256(id[:])
	bits := binary.BigEndian.Uint64(sum[:8])
	var b strings.Builder
	b.Grow(numberLength + 3)
	b.WriteString(Time(id).Format("060102"))
	for i := range numberChars {
		if i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(digits[bits>>(59-5*i)&31])
	}
	plain := strings.ReplaceAll(b.String(), "-", "")
	b.WriteByte('-')
	b.WriteByte(digits[check(plain)])
	return b.String()
}

// ParseNumber brings a number that people wrote into the form of [Number], and tells whether it is one: dashes and
// blanks of any kind may be anywhere or missing, letters in either case, O and I or L for 0 and 1. One with a mistyped
// character, or with two that changed places, is none.
func ParseNumber(text string) (number string, ok bool) {
	var b strings.Builder
	for _, r := range strings.ToUpper(text) {
		switch {
		case unicode.Is(unicode.Dash, r) || unicode.IsSpace(r):
			continue
		case r == 'O':
			r = '0'
		case r == 'I' || r == 'L':
			r = '1'
		}
		if !strings.ContainsRune(digits, r) || b.Len() == numberLength {
			return "", false
		}
		b.WriteRune(r)
	}
	plain := b.String()
	if len(plain) != numberLength || digits[check(plain[:numberLength-1])] != plain[numberLength-1] {
		return "", false
	}
	return plain[:6] + "-" + plain[6:11] + "-" + plain[11:16] + "-" + plain[16:], true
}

// check is the check digit: the sum, in the field of 32 elements, of each digit times a power of its generator
// that no other place has. A change of one digit changes it, and so does an exchange of two.
func check(plain string) int {
	sum, weight := 0, 1
	for i := range len(plain) {
		weight = times(weight, 2)
		sum ^= times(strings.IndexByte(digits, plain[i]), weight)
	}
	return sum
}

// times multiplies in the field of 32 elements: polynomials over bits, modulo x^5 + x^2 + 1.
func times(a, b int) int {
	product := 0
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return product
}
