// Package number writes our ids as merchants' order and refund numbers: 32 hexadecimal digits,
// which every provider takes.
package number

import (
	"encoding/hex"
	"errors"

	"github.com/google/uuid"
)

var errNumber = errors.New("not a number of ours")

// Of writes an id.
func Of(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

// Parse reads what Of wrote and nothing else, so that a number has one form only.
func Parse(text string) (uuid.UUID, error) {
	var id uuid.UUID
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return uuid.Nil, errNumber
	}
	copy(id[:], raw)
	if id == uuid.Nil || Of(id) != text {
		return uuid.Nil, errNumber
	}
	return id, nil
}
