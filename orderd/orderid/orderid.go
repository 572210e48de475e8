// Package orderid makes buyer-clustered order ids: UUIDs of version 8 whose bits are 48 of a keyed
// hash of the buyer, 48 of milliseconds and 26 random. Inserts spread over the key space, one
// buyer's orders lie together in time order, and nobody without the key can tell the buyer.
package orderid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
)

// MinKeyBytes is the shortest key that a Generator takes.
const MinKeyBytes = 16

// ErrShortKey says that a key has fewer than MinKeyBytes bytes.
var ErrShortKey = errors.New("order id key is too short")

// Generator makes ids; safe for concurrent use if its random source is.
type Generator struct {
	key    []byte
	now    func() time.Time
	random io.Reader
}

// NewGenerator takes the OrderCluster's key, a clock and a random source (crypto/rand.Reader).
func NewGenerator(key []byte, now func() time.Time, random io.Reader) (*Generator, error) {
	if len(key) < MinKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrShortKey, len(key), MinKeyBytes)
	}
	return &Generator{key: key, now: now, random: random}, nil
}

// New makes an id for the buyer. An error is the random source's.
func (g *Generator) New(buyer string) (uuid.UUID, error) {
	var tail [4]byte
	if _, err := io.ReadFull(g.random, tail[:]); err != nil {
		return uuid.Nil, fmt.Errorf("order id: %w", err)
	}
	return compose(g.prefix(buyer), uint64(g.now().UnixMilli()), binary.BigEndian.Uint32(tail[:])), nil
}

// Range is the first and the last id that the buyer can have.
func (g *Generator) Range(buyer string) (first, last uuid.UUID) {
	p := g.prefix(buyer)
	return compose(p, 0, 0), compose(p, 1<<48-1, 1<<32-1)
}

// Time is when the id was made, to the millisecond.
func Time(id uuid.UUID) time.Time {
	high := uint64(binary.BigEndian.Uint16(id[6:8]) & 0x0fff)
	low := binary.BigEndian.Uint64(id[8:16]) & (1<<62 - 1) >> 26
	return time.UnixMilli(int64(high<<36 | low)).UTC()
}

func (g *Generator) prefix(buyer string) [6]byte {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte(buyer))
	return [6]byte(mac.Sum(nil)[:6])
}

// compose lays out RFC 9562's version 8: the version and variant bits split the milliseconds after
// their first 12 bits, which keeps ids in time order.
func compose(prefix [6]byte, ms uint64, random uint32) uuid.UUID {
	var id uuid.UUID
	copy(id[:6], prefix[:])
	binary.BigEndian.PutUint16(id[6:8], 0x8000|uint16(ms>>36&0x0fff))
	binary.BigEndian.PutUint64(id[8:16], 1<<63|ms&(1<<36-1)<<26|uint64(random)&(1<<26-1))
	return id
}
