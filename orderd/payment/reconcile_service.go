package payment

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// RunReconciliation has a day reconciled in the background, once a request id.
func (s *Service) RunReconciliation(ctx context.Context, req *paymentv1.RunReconciliationRequest) (*paymentv1.RunReconciliationResponse, error) {
	provider, ok := s.providers[req.GetProvider()]
	if !ok {
		return nil, rpcerr.New(connect.CodeInvalidArgument, "PROVIDER_UNKNOWN", "no such payment provider is configured", "field", "provider")
	}
	day, err := parseDay(req.GetDay())
	if err != nil {
		return nil, err
	}
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	answer := &paymentv1.RunReconciliationResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		end := begins(day.AddDate(0, 0, 1), provider.Location())
		if now.Before(end) {
			return rpcerr.New(connect.CodeFailedPrecondition, "DAY_NOT_OVER", "the day is not over in the provider's time zone", "field", "day")
		}
		from := now
		if ready := end.Add(statementDelay); ready.After(now) {
			from = ready
		}
		answer.Reconciliation = dayRow{Provider: provider.Name(), Day: day, State: reconcileRequested}.proto()
		var b pgx.Batch
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		b.Queue(`INSERT INTO reconciliations (provider, day, state, requested_at, next_attempt_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (provider, day) DO UPDATE SET state = excluded.state, requested_at = excluded.requested_at, next_attempt_at = excluded.next_attempt_at, attempts = 0`,
			provider.Name(), day, reconcileRequested, now, from)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

func parseDay(text string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, rpcerr.New(connect.CodeInvalidArgument, "INVALID_REQUEST", "day is not a day of the calendar", "field", "day")
	}
	return day, nil
}

func (d dayRow) proto() *paymentv1.Reconciliation {
	return &paymentv1.Reconciliation{
		Provider: d.Provider, Day: d.Day.Format(time.DateOnly), Rows: d.Rows, Differences: d.Differences, Failure: d.Failure, FinishedAt: timestamp(d.FinishedAt),
		State: paymentv1.ReconciliationState(paymentv1.ReconciliationState_value["RECONCILIATION_STATE_"+d.State]),
	}
}

// ListReconciliations lists a provider's days, the latest first.
func (s *Service) ListReconciliations(ctx context.Context, req *paymentv1.ListReconciliationsRequest) (*paymentv1.ListReconciliationsResponse, error) {
	before, err := parseCursor(req.GetPageToken(), cursor{At: date(s.now()).AddDate(1, 0, 0)})
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	days, err := loadDays(ctx, s.pool, "WHERE provider = $1 AND day < $2 ORDER BY day DESC LIMIT $3", req.GetProvider(), before.At, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &paymentv1.ListReconciliationsResponse{}
	if len(days) > size {
		days = days[:size]
		answer.NextPageToken = cursor{At: days[size-1].Day}.token()
	}
	for _, d := range days {
		answer.Reconciliations = append(answer.Reconciliations, d.proto())
	}
	return answer, nil
}

// ListDifferences lists what a day's statement and we do not agree on.
func (s *Service) ListDifferences(ctx context.Context, req *paymentv1.ListDifferencesRequest) (*paymentv1.ListDifferencesResponse, error) {
	day, err := parseDay(req.GetDay())
	if err != nil {
		return nil, err
	}
	after, err := parseCursor(req.GetPageToken(), cursor{})
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	rows, err := s.pool.Query(ctx, `SELECT provider, day, subject, kind, subject_kind, transaction_id, payment_id, refund_id, ours_state, ours_amount, ours_currency,
			theirs_amount, theirs_currency, found_at
		FROM reconciliation_differences WHERE provider = $1 AND day = $2 AND (subject, kind) > ($3, $4) ORDER BY subject, kind LIMIT $5`,
		req.GetProvider(), day, after.ID, after.More, size+1)
	if err != nil {
		return nil, database.RPCError(fmt.Errorf("reading differences: %w", err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
	if err != nil {
		return nil, database.RPCError(fmt.Errorf("reading differences: %w", err))
	}
	answer := &paymentv1.ListDifferencesResponse{}
	if len(found) > size {
		found = found[:size]
		answer.NextPageToken = cursor{ID: found[size-1].Subject, More: string(found[size-1].Kind)}.token()
	}
	for _, d := range found {
		answer.Differences = append(answer.Differences, d.proto())
	}
	return answer, nil
}

func (d Difference) proto() *paymentv1.Difference {
	out := &paymentv1.Difference{
		Provider: d.Provider, Day: d.Day.Format(time.DateOnly), TransactionId: d.TransactionID, PaymentId: text(d.PaymentID), RefundId: text(d.RefundID),
		OurState: d.OurState, FoundAt: timestamppb.New(d.FoundAt),
		Kind:    paymentv1.DifferenceKind(paymentv1.DifferenceKind_value["DIFFERENCE_KIND_"+string(d.Kind)]),
		Subject: paymentv1.DifferenceSubject(paymentv1.DifferenceSubject_value["DIFFERENCE_SUBJECT_"+string(d.SubjectKind)]),
	}
	if d.Kind != MissingHere {
		out.Ours = money(d.OurAmount, d.OurCurrency)
	}
	if d.Kind != MissingThere {
		out.Theirs = money(d.TheirAmount, d.TheirCurrency)
	}
	return out
}

func text(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// refusedRow is a notification that was not believed.
type refusedRow struct {
	Provider, Reason, TransactionID string
	PaymentID                       *uuid.UUID
	Raw, Hash                       []byte
	ReceivedAt                      time.Time
}

// ListRefusedNotifications lists what providers have signed and was not believed, the latest first.
func (s *Service) ListRefusedNotifications(ctx context.Context, req *paymentv1.ListRefusedNotificationsRequest) (*paymentv1.ListRefusedNotificationsResponse, error) {
	before, err := parseCursor(req.GetPageToken(), cursor{At: s.now().AddDate(1, 0, 0)})
	if err != nil {
		return nil, err
	}
	hash, err := base64.RawURLEncoding.DecodeString(before.More)
	if err != nil {
		return nil, invalidToken()
	}
	size := pageSize(req.GetPageSize())
	rows, err := s.pool.Query(ctx, `SELECT provider, reason, transaction_id, payment_id, raw, hash, received_at FROM refused_notifications
		WHERE (received_at, provider, hash) < ($1::timestamptz, $2::text, $3::bytea) ORDER BY received_at DESC, provider DESC, hash DESC LIMIT $4`,
		before.At, before.ID, hash, size+1)
	if err != nil {
		return nil, database.RPCError(fmt.Errorf("reading refused notifications: %w", err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[refusedRow])
	if err != nil {
		return nil, database.RPCError(fmt.Errorf("reading refused notifications: %w", err))
	}
	answer := &paymentv1.ListRefusedNotificationsResponse{}
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		answer.NextPageToken = cursor{At: last.ReceivedAt, ID: last.Provider, More: base64.RawURLEncoding.EncodeToString(last.Hash)}.token()
	}
	for _, r := range found {
		answer.Notifications = append(answer.Notifications, &paymentv1.RefusedNotification{
			Provider: r.Provider, Reason: r.Reason, TransactionId: r.TransactionID, PaymentId: text(r.PaymentID), Raw: r.Raw, ReceivedAt: timestamppb.New(r.ReceivedAt),
		})
	}
	return answer, nil
}
