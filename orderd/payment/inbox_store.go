package payment

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/database"
)

// key is what a notification is taken once by. A provider may give a failure and the success after it the same id.
func (n Notification) key() string {
	if n.Success {
		return n.TransactionID
	}
	return "failed:" + n.TransactionID
}

// insertNotifications stores notifications and returns the keys that were not there before.
func insertNotifications(ctx context.Context, tx pgx.Tx, provider string, told []Notification, at time.Time) (map[string]bool, error) {
	n := len(told)
	transactions, ids, raws := make([]string, n), make([]uuid.UUID, n), make([][]byte, n)
	for i, t := range told {
		transactions[i], ids[i], raws[i] = t.key(), t.PaymentID, t.Raw
	}
	rows, err := tx.Query(ctx, `INSERT INTO payment_notifications (provider, transaction_id, payment_id, raw, received_at)
		SELECT $1::text, transaction_id, payment_id, raw, $2::timestamptz
		FROM unnest($3::text[], $4::uuid[], $5::bytea[]) AS n (transaction_id, payment_id, raw)
		ON CONFLICT (provider, transaction_id) DO NOTHING RETURNING transaction_id`, provider, at, transactions, ids, raws)
	if err != nil {
		return nil, fmt.Errorf("storing notifications: %w", err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("storing notifications: %w", err)
	}
	fresh := make(map[string]bool, len(stored))
	for _, id := range stored {
		fresh[id] = true
	}
	return fresh, nil
}

// reasonTakenBack says that a refund had succeeded and then failed after all.
const reasonTakenBack = "REFUND_FAILED_AFTER_SUCCESS"

// keepRefused counts a notification that is not believed, and stores it for staff to see if it was signed as it should be. What is not
// signed is never stored: anybody may send it.
func (s *Service) keepRefused(ctx context.Context, provider string, told Notification, err error) {
	var refused *NotificationError
	if !errors.As(err, &refused) {
		return
	}
	s.metrics.refused.WithLabelValues(provider, refused.Reason).Inc()
	if !slices.Contains([]string{ReasonMerchantWrong, ReasonAmountWrong, ReasonCurrencyWrong}, refused.Reason) {
		return
	}
	if err := s.keep(ctx, provider, told, refused.Reason); err != nil {
		s.log.Error("a refused notification was not stored", "provider", provider, "reason", refused.Reason, "error", err)
	}
}

// keep stores what a provider has told for staff to see, once.
func (s *Service) keep(ctx context.Context, provider string, told Notification, reason string) error {
	hash := sha256.Sum256(told.Raw)
	_, err := s.pool.Exec(ctx, `INSERT INTO refused_notifications (provider, hash, reason, transaction_id, payment_id, raw, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (provider, hash) DO NOTHING`,
		provider, hash[:], reason, told.TransactionID, present(told.PaymentID), told.Raw, database.Stamp(s.now()))
	if err != nil {
		return fmt.Errorf("keeping a notification: %w", err)
	}
	return nil
}

// storeTold keeps a notification of a refund as it came. Its effect does not hang on it: that happens once by the refund's state.
func (s *Service) storeTold(ctx context.Context, provider string, told Notification) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO payment_notifications (provider, transaction_id, payment_id, raw, received_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (provider, transaction_id) DO NOTHING`,
		provider, "refund:"+told.key(), told.PaymentID, told.Raw, database.Stamp(s.now()))
	if err != nil {
		return fmt.Errorf("storing a notification: %w", err)
	}
	return nil
}
