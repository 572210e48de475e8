package idempotency

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Key is what tells requests apart.
type Key struct{ Scope, ID string }

// Key of the request.
func (r Request) Key() Key { return Key{Scope: r.scope, ID: r.id} }

// Same tells whether the other is a repetition of the request.
func (r Request) Same(other Request) bool {
	return r.Key() == other.Key() && bytes.Equal(r.hash, other.hash)
}

// Answers are what requests were answered, as they are stored.
type Answers map[Key]stored

type stored struct{ hash, response []byte }

// Find fills answer with the request's first answer and tells whether there is one. The same id
// with another body is ALREADY_EXISTS/REQUEST_ID_REUSED.
func (a Answers) Find(r Request, answer proto.Message) (bool, error) {
	s, ok := a[r.Key()]
	if !ok {
		return false, nil
	}
	return true, s.read(r, answer)
}

// read fills answer with what was answered, if it was to the same request.
func (s stored) read(r Request, answer proto.Message) error {
	if !bytes.Equal(s.hash, r.hash) {
		return reused()
	}
	if err := proto.Unmarshal(s.response, answer); err != nil {
		return fmt.Errorf("reading the first answer: %w", err)
	}
	return nil
}

func split(requests []Request) (scopes, ids []string) {
	scopes, ids = make([]string, len(requests)), make([]string, len(requests))
	for i, r := range requests {
		scopes[i], ids[i] = r.scope, r.id
	}
	return scopes, ids
}
