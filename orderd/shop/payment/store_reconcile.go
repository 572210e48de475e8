package payment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// find reads what we have of the page's rows.
func (d *dayReader) find(ctx context.Context) (*bookings, error) {
	var transactions []string
	var payments, refunds []uuid.UUID
	for _, row := range d.page {
		if row.Kind == KindRefund {
			refunds = append(refunds, row.RefundID)
		} else {
			transactions = append(transactions, row.TransactionID)
		}
		payments = append(payments, row.PaymentID)
	}
	pool := d.service.pool
	told, err := toldPayments(ctx, pool, d.provider, transactions)
	if err != nil {
		return nil, err
	}
	payments = slices.AppendSeq(payments, maps.Values(told))
	ours, err := load(ctx, pool, "WHERE provider = $1 AND payment_id = ANY ($2)", d.provider, payments)
	if err != nil {
		return nil, err
	}
	given, err := loadRefunds(ctx, pool, `WHERE r.provider = $1
		AND r.refund_id IN (SELECT refund_id FROM refunds WHERE refund_id = ANY ($2)
			UNION SELECT refund_id FROM refunds WHERE asked_as = ANY ($2)
			UNION SELECT refund_id FROM refunds WHERE payment_id = ANY ($3))`, d.provider, refunds, payments)
	if err != nil {
		return nil, err
	}
	return newBookings(told, ours, given), nil
}

// toldPayments are the payments that notifications have named, by the transaction.
func toldPayments(
	ctx context.Context, q database.Querier, provider string, transactions []string,
) (map[string]uuid.UUID, error) {
	rows, err := q.Query(ctx, `SELECT transaction_id, payment_id FROM payment_notifications
		WHERE provider = $1 AND transaction_id = ANY ($2)`, provider, transactions)
	if err != nil {
		return nil, fmt.Errorf("reading notifications: %w", err)
	}
	told := map[string]uuid.UUID{}
	var transaction string
	var id uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&transaction, &id}, func() error {
		told[transaction] = id
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading notifications: %w", err)
	}
	return told, nil
}

// store writes a page's findings: which of ours are in the statement, and what differs. A payment
// or refund that the provider has moved, and that has not succeeded here, is asked about at once. A
// refund that failed is not: asking again could pay it twice, so it waits for staff.
func (d *dayReader) store(ctx context.Context, f findings, now time.Time) error {
	return database.ExecuteTx(ctx, d.service.pool, func(tx *database.Tx) error {
		var b pgx.Batch
		b.Queue("UPDATE payments SET statement_day = $2 WHERE payment_id = ANY ($1) AND statement_day IS NULL",
			f.payments, d.day)
		b.Queue("UPDATE payments SET next_query_at = $2 WHERE payment_id = ANY ($1) AND state <> 'SUCCEEDED'",
			f.latePayments, now)
		b.Queue("UPDATE refunds SET statement_day = $2 WHERE refund_id = ANY ($1) AND statement_day IS NULL",
			f.refunds, d.day)
		b.Queue(`UPDATE refunds SET next_attempt_at = CASE WHEN state = 'FAILED' THEN NULL ELSE $2::timestamptz END
			WHERE refund_id = ANY ($1) AND state <> 'SUCCEEDED'`, f.lateRefunds, now)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("marking what a statement has: %w", err)
		}
		fresh, err := d.insert(ctx, tx, f.differences)
		if err != nil {
			return err
		}
		tx.AfterCommit(func() {
			for _, kind := range fresh {
				d.service.metrics.differences.WithLabelValues(d.provider, kind).Inc()
			}
		})
		return nil
	})
}

// insert stores differences, each once, and returns the kinds of those that are new.
func (d *dayReader) insert(ctx context.Context, tx pgx.Tx, differences []Difference) ([]string, error) {
	if len(differences) == 0 {
		return nil, nil
	}
	n := len(differences)
	subjects, kinds, of, transactions := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	payments, refunds, states := make([]*uuid.UUID, n), make([]*uuid.UUID, n), make([]string, n)
	ours, theirs := make([]int64, n), make([]int64, n)
	ourCurrencies, theirCurrencies := make([]string, n), make([]string, n)
	for i, x := range differences {
		subjects[i], kinds[i], of[i] = x.Subject, string(x.Kind), string(x.SubjectKind)
		transactions[i], payments[i], refunds[i], states[i] = x.TransactionID, x.PaymentID, x.RefundID, x.OurState
		ours[i], ourCurrencies[i] = x.OurAmount, x.OurCurrency
		theirs[i], theirCurrencies[i] = x.TheirAmount, x.TheirCurrency
	}
	rows, err := tx.Query(ctx,
		`INSERT INTO reconciliation_differences (provider, day, subject, kind, subject_kind, transaction_id, payment_id, refund_id,
			ours_state, ours_amount, ours_currency, theirs_amount, theirs_currency, found_at)
		SELECT $1::text, $2::date, subject, kind, subject_kind, transaction_id, payment_id, refund_id,
			ours_state, ours_amount, ours_currency, theirs_amount, theirs_currency, $3::timestamptz
		FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::uuid[], $10::text[], $11::bigint[], $12::text[], $13::bigint[], $14::text[])
			AS v (subject, kind, subject_kind, transaction_id, payment_id, refund_id, ours_state, ours_amount, ours_currency, theirs_amount, theirs_currency)
		ON CONFLICT (provider, day, subject, kind) DO NOTHING RETURNING kind`, d.provider, d.day, differences[0].FoundAt,
		subjects, kinds, of, transactions, payments, refunds, states, ours, ourCurrencies, theirs, theirCurrencies)
	if err != nil {
		return nil, fmt.Errorf("storing differences: %w", err)
	}
	fresh, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("storing differences: %w", err)
	}
	return fresh, nil
}

// ownRow is one of ours that no statement has.
type ownRow struct {
	ID, PaymentID           uuid.UUID
	TransactionID, Currency string
	Amount                  int64
	At                      time.Time
}

const (
	unstatedPayments = `SELECT payment_id, payment_id, transaction_id, currency, amount, succeeded_at FROM payments
		WHERE bucket = $1 AND succeeded_at IS NOT NULL AND succeeded_at >= $2 AND succeeded_at < $3 AND (succeeded_at, payment_id) > ($4::timestamptz, $5::uuid)
			AND provider = $6 AND statement_day IS NULL AND amount > 0
		ORDER BY succeeded_at, payment_id LIMIT $7`
	unstatedRefunds = `SELECT refund_id, payment_id, provider_refund_id, currency, amount, succeeded_at FROM refunds
		WHERE bucket = $1 AND succeeded_at IS NOT NULL AND succeeded_at >= $2 AND succeeded_at < $3 AND (succeeded_at, refund_id) > ($4::timestamptz, $5::uuid)
			AND provider = $6 AND statement_day IS NULL
		ORDER BY succeeded_at, refund_id LIMIT $7`
)

// missing stores as differences the payments or refunds that succeeded here from one time to
// another and are in no statement.
func (d *dayReader) missing(ctx context.Context, of Kind, bucket int64, from, to time.Time) error {
	query := unstatedPayments
	if of == KindRefund {
		query = unstatedRefunds
	}
	last := ownRow{At: from}
	for {
		rows, err := readOwn(ctx, d.service.pool, query,
			bucket, from, to, last.At, last.ID, d.provider, reconcilePage)
		if err != nil {
			return err
		}
		now := database.Stamp(d.service.now())
		found := findings{}
		for _, r := range rows {
			found.add(d.missingThere(r, of, now))
		}
		if err := d.store(ctx, found, now); err != nil {
			return err
		}
		if len(rows) < reconcilePage {
			return nil
		}
		last = rows[len(rows)-1]
	}
}

// readOwn reads a page of our own rows.
func readOwn(ctx context.Context, q database.Querier, query string, args ...any) ([]ownRow, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("looking for what no statement has: %w", err)
	}
	own, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ownRow])
	if err != nil {
		return nil, fmt.Errorf("looking for what no statement has: %w", err)
	}
	return own, nil
}

// dayRow is a reconciliation as it is stored.
type dayRow struct {
	Provider    string
	Day         time.Time
	State       string
	Rows        int64
	Attempts    int64
	Failure     string
	RequestedAt time.Time
	FinishedAt  *time.Time
	Differences int64
}

const selectDays = `SELECT provider, day, state, rows_read, attempts, failure, requested_at, finished_at,
	(SELECT count(*) FROM reconciliation_differences AS d WHERE d.provider = r.provider AND d.day = r.day)
	FROM reconciliations AS r `

func loadDays(ctx context.Context, q database.Querier, condition string, args ...any) ([]dayRow, error) {
	rows, err := q.Query(ctx, selectDays+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading reconciliations: %w", err)
	}
	days, err := pgx.CollectRows(rows, pgx.RowToStructByPos[dayRow])
	if err != nil {
		return nil, fmt.Errorf("reading reconciliations: %w", err)
	}
	return days, nil
}

// listDays are a provider's days before one, the latest first, at most limit.
func listDays(
	ctx context.Context, q database.Querier, provider string, before time.Time, limit int,
) ([]dayRow, error) {
	return loadDays(ctx, q, "WHERE provider = $1 AND day < $2 ORDER BY day DESC LIMIT $3", provider, before, limit)
}

// planDays adds the days up to the latest that are not there yet, from the last one on.
func (s *Service) planDays(ctx context.Context, provider string, latest time.Time) error {
	var last *time.Time
	err := s.pool.QueryRow(ctx, "SELECT max(day) FROM reconciliations WHERE provider = $1", provider).Scan(&last)
	if err != nil {
		return fmt.Errorf("looking for the last reconciliation: %w", err)
	}
	first := latest
	if last != nil {
		first = date(last.AddDate(0, 0, 1))
	}
	if earliest := latest.AddDate(0, 0, 1-catchUp); first.Before(earliest) {
		first = earliest
	}
	for day := first; !day.After(latest); day = day.AddDate(0, 0, 1) {
		if _, err := s.pool.Exec(ctx, `INSERT INTO reconciliations (provider, day, state, requested_at, next_attempt_at)
			VALUES ($1, $2, $3, $4, $4) ON CONFLICT (provider, day) DO NOTHING`,
			provider, day, reconcileRequested, database.Stamp(s.now())); err != nil {
			return fmt.Errorf("planning a reconciliation: %w", err)
		}
	}
	return nil
}

// requestDay has a day reconciled, again if it was before, from a time on.
func requestDay(ctx context.Context, tx pgx.Tx, provider string, day, now, from time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO reconciliations (provider, day, state, requested_at, next_attempt_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (provider, day) DO UPDATE SET state = excluded.state, requested_at = excluded.requested_at,
			next_attempt_at = excluded.next_attempt_at, attempts = 0`, provider, day, reconcileRequested, now, from)
	if err != nil {
		return fmt.Errorf("requesting a reconciliation: %w", err)
	}
	return nil
}

func (s *Service) dueDay(ctx context.Context, provider string) (dayRow, bool, error) {
	due, err := loadDays(ctx, s.pool, "WHERE provider = $1 AND next_attempt_at <= $2 ORDER BY day LIMIT 1",
		provider, s.now())
	if err != nil || len(due) == 0 {
		return dayRow{}, false, err
	}
	return due[0], true, nil
}

// finishDay ends a reconciliation, unless it was asked for again meanwhile.
func (s *Service) finishDay(ctx context.Context, d dayRow, rows int64) error {
	_, err := s.pool.Exec(ctx, `UPDATE reconciliations
		SET state = $4, rows_read = $5, failure = '', finished_at = $6, next_attempt_at = NULL
		WHERE provider = $1 AND day = $2 AND requested_at = $3`,
		d.Provider, d.Day, d.RequestedAt, reconcileDone, rows, database.Stamp(s.now()))
	if err != nil {
		return fmt.Errorf("ending a reconciliation: %w", err)
	}
	return nil
}

// delayDay has a failed reconciliation tried again later, unless it was asked for again meanwhile.
func (s *Service) delayDay(ctx context.Context, d dayRow, failure string) error {
	delay := backoff.Policy{First: reconcileRetry, Max: maxReconcileDelay}.Delay(int(d.Attempts) + 1)
	// The caller's time may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, `UPDATE reconciliations SET attempts = attempts + 1, failure = $4, next_attempt_at = $5
		WHERE provider = $1 AND day = $2 AND requested_at = $3`,
		d.Provider, d.Day, d.RequestedAt, failure, database.Stamp(s.now().Add(delay)))
	if err != nil {
		return fmt.Errorf("delaying a reconciliation: %w", err)
	}
	return nil
}

// listDifferences are those of a provider's day behind one of them, at most limit.
func listDifferences(
	ctx context.Context, q database.Querier, provider string, day time.Time, subject, kind string, limit int,
) ([]Difference, error) {
	rows, err := q.Query(ctx, `SELECT provider, day, subject, kind, subject_kind, transaction_id, payment_id, refund_id,
			ours_state, ours_amount, ours_currency, theirs_amount, theirs_currency, found_at
		FROM reconciliation_differences WHERE provider = $1 AND day = $2 AND (subject, kind) > ($3, $4)
		ORDER BY subject, kind LIMIT $5`, provider, day, subject, kind, limit)
	if err != nil {
		return nil, fmt.Errorf("reading differences: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
	if err != nil {
		return nil, fmt.Errorf("reading differences: %w", err)
	}
	return found, nil
}
