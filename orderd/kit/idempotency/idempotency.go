// Package idempotency makes a mutation with a request id have its effect once: the id is stored
// with a hash of the request and with the answer, in the transaction of the effect. The same id
// again gets the first answer; the same id with another body is refused.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// StaffScope is the scope of requests that the shop's staff and backends make.
const StaffScope = "staff"

// maxRounds bounds how often a request is run again because the same one was committed meanwhile. One
// more round finds its answer; the others are for a commit that was then undone.
const maxRounds = 4

// errTaken says that the same request id was stored between looking and storing.
var errTaken = errors.New("request id was stored meanwhile")

// BuyerScope is the scope of a buyer's requests.
func BuyerScope(buyerID string) string { return "buyer:" + buyerID }

// Request is one request id in its scope, and the hash of what was asked.
type Request struct {
	scope, id string
	hash      []byte
}

// NewRequest hashes the message, its type's name included, so that an id is not shared between RPCs.
func NewRequest(scope, id string, msg proto.Message) (Request, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		return Request{}, fmt.Errorf("hashing the request: %w", err)
	}
	h := sha256.New()
	h.Write([]byte(msg.ProtoReflect().Descriptor().FullName()))
	h.Write([]byte{0})
	h.Write(raw)
	return Request{scope: scope, id: id, hash: h.Sum(nil)}, nil
}

// Do runs effect in a transaction, unless the request had its effect before: then answer is filled
// with the first answer. Before it changes anything else, effect must queue or make its Claim with
// the answer that it fills into answer. effect may run several times.
func Do(
	ctx context.Context, pool *pgxpool.Pool, r Request, answer proto.Message, effect func(*database.Tx) error,
) error {
	for round := 1; ; round++ {
		err := database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
			found, err := r.Find(ctx, tx, answer)
			if err != nil || found {
				return err
			}
			return effect(tx)
		})
		if !errors.Is(err, errTaken) || round == maxRounds {
			return err
		}
	}
}

// Find fills answer with the request's first answer and tells whether there is one. The same id
// with another body is ALREADY_EXISTS/REQUEST_ID_REUSED.
func (r Request) Find(ctx context.Context, tx pgx.Tx, answer proto.Message) (bool, error) {
	var hash, response []byte
	err := tx.QueryRow(ctx, "SELECT hash, response FROM requests WHERE scope = $1 AND request_id = $2", r.scope,
		r.id).Scan(&hash, &response)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the request: %w", err)
	}
	if !bytes.Equal(hash, r.hash) {
		return false, reused()
	}
	if err := proto.Unmarshal(response, answer); err != nil {
		return false, fmt.Errorf("reading the first answer: %w", err)
	}
	return true, nil
}

func reused() error {
	return rpcerr.New(connect.CodeAlreadyExists, rpcerr.ReasonRequestIDReused,
		"this request id was used for another request")
}

// Claim queues the insert that makes the request's effect happen once. Whoever comes second waits
// here for the first's commit, and starts over.
func (r Request) Claim(b *pgx.Batch, at time.Time, answer proto.Message) error {
	response, err := proto.Marshal(answer)
	if err != nil {
		return fmt.Errorf("storing the answer: %w", err)
	}
	q := b.Queue(`INSERT INTO requests (scope, request_id, hash, response, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (scope, request_id) DO NOTHING`, r.scope, r.id, r.hash, response, at)
	q.Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errTaken
		}
		return nil
	})
	return nil
}

// Replace stores another answer to a request that is claimed already: for an effect that takes
// more than one transaction.
func (r Request) Replace(b *pgx.Batch, answer proto.Message) error {
	response, err := proto.Marshal(answer)
	if err != nil {
		return fmt.Errorf("storing the answer: %w", err)
	}
	b.Queue("UPDATE requests SET response = $3 WHERE scope = $1 AND request_id = $2", r.scope, r.id, response)
	return nil
}
