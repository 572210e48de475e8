package idempotency

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// FindAll reads the answers of those of the requests that had their effect.
func FindAll(ctx context.Context, q database.Querier, requests []Request) (Answers, error) {
	scopes, ids := split(requests)
	rows, err := q.Query(ctx, `SELECT r.scope, r.request_id, r.hash, r.response
		FROM unnest($1::text[], $2::text[]) AS w (scope, request_id)
		JOIN requests r ON r.scope = w.scope AND r.request_id = w.request_id`, scopes, ids)
	if err != nil {
		return nil, fmt.Errorf("looking for requests: %w", err)
	}
	out := Answers{}
	var k Key
	var s stored
	_, err = pgx.ForEachRow(rows, []any{&k.Scope, &k.ID, &s.hash, &s.response}, func() error {
		out[k] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for requests: %w", err)
	}
	return out, nil
}

// ClaimAll queues what makes the effects of many requests happen once; responses are their
// answers, as they are stored. Once the batch was sent, claimed has those that had not been
// stored: the others' effects must not happen in this transaction. Whoever comes second waits here
// for the first's commit.
func ClaimAll(b *pgx.Batch, at time.Time, requests []Request, responses [][]byte, claimed map[Key]bool) {
	scopes, ids := split(requests)
	hashes := make([][]byte, len(requests))
	for i, r := range requests {
		hashes[i] = r.hash
	}
	q := b.Queue(`INSERT INTO requests (scope, request_id, hash, response, created_at)
		SELECT scope, request_id, hash, response, $5::timestamptz
		FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[]) AS r (scope, request_id, hash, response)
		ON CONFLICT (scope, request_id) DO NOTHING RETURNING scope, request_id`, scopes, ids, hashes, responses, at)
	q.Query(func(rows pgx.Rows) error {
		var k Key
		_, err := pgx.ForEachRow(rows, []any{&k.Scope, &k.ID}, func() error {
			claimed[k] = true
			return nil
		})
		return err
	})
}

// Unclaim queues the removal of claims whose effects will not happen, made in the same transaction.
func Unclaim(b *pgx.Batch, requests []Request) {
	scopes, ids := split(requests)
	b.Queue(`DELETE FROM requests WHERE (scope, request_id) IN
		(SELECT scope, request_id FROM unnest($1::text[], $2::text[]) AS r (scope, request_id))`, scopes, ids)
}
