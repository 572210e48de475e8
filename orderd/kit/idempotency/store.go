package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"
)

// Find fills answer with the request's first answer and tells whether there is one. The same id
// with another body is ALREADY_EXISTS/REQUEST_ID_REUSED.
func (r Request) Find(ctx context.Context, tx pgx.Tx, answer proto.Message) (bool, error) {
	var s stored
	err := tx.QueryRow(ctx, "SELECT hash, response FROM requests WHERE scope = $1 AND request_id = $2", r.scope,
		r.id).Scan(&s.hash, &s.response)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the request: %w", err)
	}
	return true, s.read(r, answer)
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
