package watch

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
)

// Position is a place in the stream: behind the change that is there.
type Position struct {
	sequence uint64
	// check tells the change from another one at the same place of a stream that was made anew.
	check uint32
}

// Token is a position for people who must not learn how many orders the shop has: its block is
// encrypted, and what is not made here does not end in zeros once it is opened.
func (h *Hub) Token(p Position) string {
	var block [16]byte
	binary.BigEndian.PutUint64(block[:8], p.sequence)
	binary.BigEndian.PutUint32(block[8:12], p.check)
	h.seal.Encrypt(block[:], block[:])
	return base64.RawURLEncoding.EncodeToString(block[:])
}

// Open is the position of a token, or [ErrInvalidToken].
func (h *Hub) Open(token string) (Position, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 16 {
		return Position{}, ErrInvalidToken
	}
	h.seal.Decrypt(raw, raw)
	if binary.BigEndian.Uint32(raw[12:]) != 0 {
		return Position{}, ErrInvalidToken
	}
	return Position{sequence: binary.BigEndian.Uint64(raw), check: binary.BigEndian.Uint32(raw[8:])}, nil
}

// position behind a change.
func (c change) position() Position {
	sum := fnv.New32a()
	_, _ = sum.Write(c.orderID[:])
	var version [8]byte
	binary.BigEndian.PutUint64(version[:], uint64(c.version))
	_, _ = sum.Write(version[:])
	return Position{sequence: c.sequence, check: sum.Sum32()}
}
