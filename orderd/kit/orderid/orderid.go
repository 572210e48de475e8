// Package orderid makes buyer-clustered order ids: UUIDs of version 8 whose bits are 48 of a keyed
// hash of the buyer, 48 of milliseconds and 26 random. Inserts spread over the key space, one
// buyer's orders lie together in time order, and nobody without the key can tell the buyer.
package orderid

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
)

// MinKeyBytes is the shortest key that a Generator takes.
const MinKeyBytes = 16

// ErrShortKey says that a key has fewer than MinKeyBytes bytes.
var ErrShortKey = errors.New("order id key is too short")

// randomBlock is how many bytes are read from the random source at once: an id takes 4.
const randomBlock = 512

// Generator makes ids; safe for concurrent use.
type Generator struct {
	now    func() time.Time
	random io.Reader

	mu sync.Mutex
	// mac keeps the key's part of the hash; sum is room for its result.
	mac hash.Hash
	sum []byte
	// block is what is left of the last random block.
	block  []byte
	blocks [randomBlock]byte
}

// NewGenerator takes the OrderCluster's key, a clock and a random source (crypto/rand.Reader).
func NewGenerator(key []byte, now func() time.Time, random io.Reader) (*Generator, error) {
	if len(key) < MinKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrShortKey, len(key), MinKeyBytes)
	}
	return &Generator{now: now, random: random, mac: hmac.New(sha256.New, key)}, nil
}

// New makes an id for the buyer. An error is the random source's.
func (g *Generator) New(buyer string) (uuid.UUID, error) {
	ms := uint64(g.now().UnixMilli())
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.block) < 4 {
		if _, err := io.ReadFull(g.random, g.blocks[:]); err != nil {
			return uuid.Nil, fmt.Errorf("order id: %w", err)
		}
		g.block = g.blocks[:]
	}
	random := binary.BigEndian.Uint32(g.block)
	g.block = g.block[4:]
	return compose(g.prefix(buyer), ms, random), nil
}

// Range is the first and the last id that the buyer can have.
func (g *Generator) Range(buyer string) (first, last uuid.UUID) {
	g.mu.Lock()
	p := g.prefix(buyer)
	g.mu.Unlock()
	return compose(p, 0, 0), compose(p, 1<<48-1, 1<<32-1)
}

// Own tells whether the id is one that the buyer can have.
func (g *Generator) Own(buyer string, id uuid.UUID) bool {
	first, last := g.Range(buyer)
	return id.Version() == 8 && id.Variant() == uuid.RFC4122 &&
		bytes.Compare(first[:], id[:]) <= 0 && bytes.Compare(id[:], last[:]) <= 0
}

// Time is when the id was made, to the millisecond.
func Time(id uuid.UUID) time.Time {
	high := uint64(binary.BigEndian.Uint16(id[6:8]) & 0x0fff)
	low := binary.BigEndian.Uint64(id[8:16]) & (1<<62 - 1) >> 26
	return time.UnixMilli(int64(high<<36 | low)).UTC()
}

// prefix is called with mu held.
func (g *Generator) prefix(buyer string) [6]byte {
	g.mac.Reset()
	_, _ = io.WriteString(g.mac, buyer)
	g.sum = g.mac.Sum(g.sum[:0])
	return [6]byte(g.sum)
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
