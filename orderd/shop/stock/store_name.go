package stock

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// lockName lets transactions on one name come one after the other, and returns whose it is: the uid's, if it was
// nobody's.
func lockName(ctx context.Context, tx pgx.Tx, name PromotionName, uid string) (string, error) {
	_, err := tx.Exec(ctx, `INSERT INTO promotion_names (namespace, name, promotion_uid) VALUES ($1, $2, $3)
		ON CONFLICT (namespace, name) DO NOTHING`, name.Namespace, name.Name, uid)
	if err != nil {
		return "", fmt.Errorf("locking a promotion's name: %w", err)
	}
	var holder string
	err = tx.QueryRow(ctx, "SELECT promotion_uid FROM promotion_names WHERE namespace = $1 AND name = $2 FOR UPDATE",
		name.Namespace, name.Name).Scan(&holder)
	if err != nil {
		return "", fmt.Errorf("locking a promotion's name: %w", err)
	}
	return holder, nil
}

func writeName(ctx context.Context, tx pgx.Tx, name PromotionName, uid string) error {
	_, err := tx.Exec(ctx, "UPDATE promotion_names SET promotion_uid = $3 WHERE namespace = $1 AND name = $2",
		name.Namespace, name.Name, uid)
	if err != nil {
		return fmt.Errorf("giving a promotion its name: %w", err)
	}
	return nil
}

// readName is whose the name is; "": nobody's.
func readName(ctx context.Context, q database.Querier, name PromotionName) (string, error) {
	var uid string
	err := q.QueryRow(ctx, "SELECT promotion_uid FROM promotion_names WHERE namespace = $1 AND name = $2",
		name.Namespace, name.Name).Scan(&uid)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whose a promotion's name is: %w", err)
	}
	return uid, nil
}
