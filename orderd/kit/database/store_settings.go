package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	orderIDKeySetting = "order_id_key"
	orderIDKeyBytes   = 32
)

func createOrderIDKey(ctx context.Context, db *sql.DB) error {
	key := make([]byte, orderIDKeyBytes)
	if _, err := rand.Read(key); err != nil { //nolint:forbidigo // A secret that is made once in a database's life.
		return fmt.Errorf("making the order id key: %w", err)
	}
	_, err := db.ExecContext(ctx, "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
		orderIDKeySetting, hex.EncodeToString(key))
	if err != nil {
		return fmt.Errorf("storing the order id key: %w", err)
	}
	return nil
}

// OrderIDKey is the key that buyers are hashed with in order ids: 32 bytes as hexadecimal text,
// made by the first Migrate and never changed, because a buyer's orders are found by it.
func OrderIDKey(ctx context.Context, pool *pgxpool.Pool) (string, error) {
	var key string
	err := pool.QueryRow(ctx, "SELECT value FROM settings WHERE key = $1", orderIDKeySetting).Scan(&key)
	if err != nil {
		return "", fmt.Errorf("reading the order id key: %w", err)
	}
	return key, nil
}
