package idempotency

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// Once runs effect in a transaction once a request id and returns its answer; the same request
// again gets the first answer, and the same id with another body is
// ALREADY_EXISTS/REQUEST_ID_REUSED. The id is claimed before the effect, because its row is locked
// before any other, and gets the answer at the end. at is when the request is said to have come.
// effect may run several times; see [database.ExecuteTx].
func Once[A proto.Message](
	ctx context.Context, pool *pgxpool.Pool, r Request, at time.Time, effect func(*database.Tx) (A, error),
) (A, error) {
	var none A
	answer, ok := none.ProtoReflect().New().Interface().(A)
	if !ok {
		return none, fmt.Errorf("a %T makes messages of another type", none)
	}
	err := Do(ctx, pool, r, answer, func(tx *database.Tx) error {
		proto.Reset(answer)
		var claim, fill pgx.Batch
		if err := r.Claim(&claim, at, answer); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &claim).Close(); err != nil {
			return err
		}
		made, err := effect(tx)
		if err != nil {
			return err
		}
		proto.Merge(answer, made)
		if proto.Size(answer) == 0 {
			return nil
		}
		if err := r.Replace(&fill, answer); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &fill).Close()
	})
	if err != nil {
		return none, err
	}
	return answer, nil
}
