package payment

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// RunReconciliation has a day reconciled in the background, once a request id.
func (s *Service) RunReconciliation(
	ctx context.Context, req *paymentv1.RunReconciliationRequest,
) (*paymentv1.RunReconciliationResponse, error) {
	provider, ok := s.providers[req.GetProvider()]
	if !ok {
		return nil, providerUnknown()
	}
	day, err := parseDay(req.GetDay())
	if err != nil {
		return nil, err
	}
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	now := database.Stamp(s.now())
	end := begins(day.AddDate(0, 0, 1), provider.Location())
	from := end.Add(statementDelay)
	if from.Before(now) {
		from = now
	}
	answer, err := idempotency.Once(ctx, s.pool, request, now,
		func(tx *database.Tx) (*paymentv1.RunReconciliationResponse, error) {
			if now.Before(end) {
				return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonDayNotOver,
					"the day is not over in the provider's time zone", "field", "day")
			}
			asked := dayRow{Provider: provider.Name(), Day: day, State: reconcileRequested}
			answer := &paymentv1.RunReconciliationResponse{Reconciliation: asked.proto()}
			return answer, requestDay(ctx, tx, provider.Name(), day, now, from)
		})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

func parseDay(text string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest,
			"day is not a day of the calendar", "field", "day")
	}
	return day, nil
}

func (d dayRow) proto() *paymentv1.Reconciliation {
	state := paymentv1.ReconciliationState_value["RECONCILIATION_STATE_"+d.State]
	return &paymentv1.Reconciliation{
		Provider: d.Provider, Day: d.Day.Format(time.DateOnly), State: paymentv1.ReconciliationState(state),
		Rows: d.Rows, Differences: d.Differences, Failure: d.Failure, FinishedAt: pb.Time(d.FinishedAt),
	}
}

// ListReconciliations lists a provider's days, the latest first.
func (s *Service) ListReconciliations(
	ctx context.Context, req *paymentv1.ListReconciliationsRequest,
) (*paymentv1.ListReconciliationsResponse, error) {
	before := date(s.now()).AddDate(1, 0, 0)
	if _, err := page.Parse(req.GetPageToken(), &before); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	days, err := listDays(ctx, s.pool, req.GetProvider(), before, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	days, next := page.Cut(days, size, func(last dayRow) []any { return []any{last.Day} })
	answer := &paymentv1.ListReconciliationsResponse{NextPageToken: next}
	for _, d := range days {
		answer.Reconciliations = append(answer.Reconciliations, d.proto())
	}
	return answer, nil
}

// ListDifferences lists what a day's statement and we do not agree on.
func (s *Service) ListDifferences(
	ctx context.Context, req *paymentv1.ListDifferencesRequest,
) (*paymentv1.ListDifferencesResponse, error) {
	day, err := parseDay(req.GetDay())
	if err != nil {
		return nil, err
	}
	var subject, kind string
	if _, err := page.Parse(req.GetPageToken(), &subject, &kind); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	found, err := listDifferences(ctx, s.pool, req.GetProvider(), day, subject, kind, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	found, next := page.Cut(found, size, func(last Difference) []any { return []any{last.Subject, last.Kind} })
	answer := &paymentv1.ListDifferencesResponse{NextPageToken: next}
	for _, d := range found {
		answer.Differences = append(answer.Differences, d.proto())
	}
	return answer, nil
}

func (d Difference) proto() *paymentv1.Difference {
	kind := paymentv1.DifferenceKind_value["DIFFERENCE_KIND_"+string(d.Kind)]
	subject := paymentv1.DifferenceSubject_value["DIFFERENCE_SUBJECT_"+string(d.SubjectKind)]
	out := &paymentv1.Difference{
		Provider: d.Provider, Day: d.Day.Format(time.DateOnly), TransactionId: d.TransactionID,
		PaymentId: text(d.PaymentID), RefundId: text(d.RefundID), OurState: d.OurState,
		FoundAt: timestamppb.New(d.FoundAt),
		Kind:    paymentv1.DifferenceKind(kind), Subject: paymentv1.DifferenceSubject(subject),
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

// ListRefusedNotifications lists the notifications that providers have signed and that were not
// believed, the latest first.
func (s *Service) ListRefusedNotifications(
	ctx context.Context, req *paymentv1.ListRefusedNotificationsRequest,
) (*paymentv1.ListRefusedNotificationsResponse, error) {
	before := refusedRow{ReceivedAt: s.now().AddDate(1, 0, 0), Hash: []byte{}}
	if _, err := page.Parse(req.GetPageToken(), &before.ReceivedAt, &before.Provider, &before.Hash); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	found, err := listRefused(ctx, s.pool, before, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	found, next := page.Cut(found, size, func(last refusedRow) []any {
		return []any{last.ReceivedAt, last.Provider, last.Hash}
	})
	answer := &paymentv1.ListRefusedNotificationsResponse{NextPageToken: next}
	for _, r := range found {
		answer.Notifications = append(answer.Notifications, &paymentv1.RefusedNotification{
			Provider: r.Provider, Reason: r.Reason, TransactionId: r.TransactionID, PaymentId: text(r.PaymentID),
			Raw: r.Raw, ReceivedAt: timestamppb.New(r.ReceivedAt),
		})
	}
	return answer, nil
}
