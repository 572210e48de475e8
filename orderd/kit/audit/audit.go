// Package audit keeps what the shop's staff and its services changed. Each mutation by anybody but a
// buyer acting for themselves leaves an entry, which is written before the mutation is made, in a
// transaction of its own, and completed after it: a pod that dies in between leaves the entry, and a
// mutation whose entry cannot be written is not made. Entries that are due at once share a transaction.
// A buyer's own is in what it made, an order or a
// return with its history, and pays for no entry.
//
// Flash pods have no database and write no entries. What a service places there for buyers is in the
// promotion's log, with the buyer, before it is answered.
package audit

import (
	"context"
	"errors"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// Attempted is the outcome of a call that has not ended, or whose end was lost.
	Attempted = "ATTEMPTED"
	// OK is the outcome of a call that was answered; others are Connect codes.
	OK = "OK"
)

// Entry is one call.
type Entry struct {
	ID uuid.UUID
	// At is when it began, in microseconds.
	At      time.Time
	Subject string
	// Roles that let the caller do it, as tokens name them.
	Roles     []string
	Procedure string
	RequestID string
	// Request as JSON of at most maxRequestBytes.
	Request string
	// Outcome is Attempted, OK or a Connect code in UPPER_SNAKE_CASE; Reason is the refusal's.
	Outcome, Reason string
	// CompletedAt is zero while the outcome is Attempted.
	CompletedAt time.Time
}

func (e Entry) proto() *auditv1.AuditEntry {
	out := &auditv1.AuditEntry{
		EntryId: e.ID.String(), At: timestamppb.New(e.At), Subject: e.Subject, Roles: e.Roles, Procedure: e.Procedure,
		RequestId: e.RequestID, Request: e.Request, Outcome: e.Outcome, Reason: e.Reason,
	}
	if !e.CompletedAt.IsZero() {
		out.CompletedAt = timestamppb.New(e.CompletedAt)
	}
	return out
}

// outcomeOf what a handler returned, as its caller is told.
func outcomeOf(err error) (outcome, reason string) {
	var known *connect.Error
	switch {
	case err == nil:
		return OK, ""
	case errors.As(err, &known) && !known.IsRemote():
		return strings.ToUpper(known.Code().String()), rpcerr.Reason(known)
	case errors.Is(err, context.DeadlineExceeded):
		return "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"
	case errors.Is(err, context.Canceled):
		return "CANCELED", "CANCELED"
	}
	return "INTERNAL", "INTERNAL"
}
