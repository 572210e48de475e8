// Package admission makes and checks admission tokens: proof that a buyer saw the page of a
// promotion's item. A token needs no memory anywhere: any pod checks what any other gave out.
package admission

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

const (
	// keyInfo keeps the tokens' key apart from the others that are derived from the order id key.
	keyInfo = "orderd admission token"
	// macBytes is how much of the MAC a token has: 2^128 guesses for one buyer and item.
	macBytes = 16
)

// tokenLength of base64url without padding.
var tokenLength = base64.RawURLEncoding.EncodedLen(macBytes)

// Signer makes tokens and checks them; safe for concurrent use.
type Signer struct {
	// macs are HMACs under the key, to be reset and used again.
	macs sync.Pool
}

// New derives the tokens' key from the OrderCluster's order id key, by HKDF-SHA256. An error wraps
// orderid.ErrShortKey.
func New(orderIDKey []byte) (*Signer, error) {
	if len(orderIDKey) < orderid.MinKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", orderid.ErrShortKey, len(orderIDKey), orderid.MinKeyBytes)
	}
	key, err := hkdf.Key(sha256.New, orderIDKey, nil, keyInfo, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of admission tokens: %w", err)
	}
	s := &Signer{}
	s.macs.New = func() any { return hmac.New(sha256.New, key) }
	return s, nil
}

// Token admits a buyer to an item of the promotion with the uid: 22 characters that may stand in a
// URL.
func (s *Signer) Token(uid, buyer, sku string) string {
	mac := s.mac(uid, buyer, sku)
	return base64.RawURLEncoding.EncodeToString(mac[:macBytes])
}

// Valid says whether Token made the token for the same promotion, buyer and item. How long it takes
// tells nothing about a valid one.
func (s *Signer) Valid(uid, buyer, sku, token string) bool {
	if len(token) != tokenLength {
		return false
	}
	var given [macBytes]byte
	// Strict: the last character's unused bits must be zero, so that an item has one token a buyer.
	if n, err := base64.RawURLEncoding.Strict().Decode(given[:], []byte(token)); err != nil || n != macBytes {
		return false
	}
	mac := s.mac(uid, buyer, sku)
	return hmac.Equal(mac[:macBytes], given[:])
}

// mac is over each text's length and bytes, so that no two triples give the same input.
func (s *Signer) mac(texts ...string) (sum [sha256.Size]byte) {
	h := s.macs.Get().(hash.Hash)
	defer s.macs.Put(h)
	h.Reset()
	var buffer [256]byte
	input := buffer[:0]
	for _, text := range texts {
		input = binary.BigEndian.AppendUint32(input, uint32(len(text)))
		input = append(input, text...)
	}
	// A hash never fails.
	_, _ = h.Write(input)
	h.Sum(sum[:0])
	return sum
}
