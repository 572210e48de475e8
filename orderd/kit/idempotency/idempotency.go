// Package idempotency makes a mutation with a request id have its effect once: the id is stored
// with a hash of the request and with the answer, in the transaction of the effect. The same id
// again gets the first answer; the same id with another body is refused.
package idempotency

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"connectrpc.com/connect/v2"
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

func reused() error {
	return rpcerr.New(connect.CodeAlreadyExists, rpcerr.ReasonRequestIDReused,
		"this request id was used for another request")
}
