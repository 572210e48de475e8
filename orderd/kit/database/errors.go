package database

import (
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/cockroachdb/cockroach-go/v2/crdb"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var errBadURL = errors.New("the database's URL is not a valid postgres:// URL")

// Class says what may be done about a database error.
type Class int

const (
	// Final errors come again however often the same is tried.
	Final Class = iota
	// Retry errors are conflicts between transactions: nothing happened, and trying again helps.
	Retry
	// Reset errors mean that the connection or its server is gone; another connection may do.
	Reset
	// Unknown errors leave open whether the transaction was committed.
	Unknown
)

// String is the class's label on metrics.
func (c Class) String() string {
	return [...]string{"final", "retry", "reset", "unknown"}[c]
}

const (
	codeSerializationFailure = "40001"
	codeCompletionUnknown    = "40003"
	codeDeadlock             = "40P01"
	codeUndefinedTable       = "42P01"
	codeTooManyConnections   = "53300"
	codeReadOnly             = "25006"
	// retryDelay is what callers are asked to wait while the database is away.
	retryDelay = time.Second
)

// ClassOf an error of this package, of pgx or of a connection.
func ClassOf(err error) Class {
	var ambiguous *crdb.AmbiguousCommitError
	var unanswered *UnknownOutcomeError
	if errors.As(err, &ambiguous) || errors.As(err, &unanswered) || code(err) == codeCompletionUnknown {
		return Unknown
	}
	switch c := code(err); {
	case c == codeSerializationFailure || c == codeDeadlock:
		return Retry
	// 08: connection exceptions. 57P: the server is stopping or starting. 58C: CockroachDB's node
	// cannot reach another.
	case strings.HasPrefix(c, "08") || strings.HasPrefix(c, "57P") || strings.HasPrefix(c, "58C") ||
		c == codeTooManyConnections || c == codeReadOnly:
		return Reset
	case c != "":
		return Final
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) {
		return Reset
	}
	return Final
}

// Busy tells whether the database could not do it now, and may later: it has too little memory or disk, a lock was not
// to be had, or somebody ended the statement.
func Busy(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "53") || strings.HasPrefix(c, "55") || strings.HasPrefix(c, "57")
}

// RPCError is what a caller of an RPC sees of an error: a database that is away or busy as
// UNAVAILABLE/DATABASE_UNAVAILABLE with a retry delay, anything else as [rpcerr.From] has it.
// Whatever the driver said stays inside as the cause.
func RPCError(err error) error {
	if err == nil {
		return nil
	}
	if known := rpcerr.From(err); known.Code() != connect.CodeInternal || ClassOf(err) == Final {
		return known
	}
	const text = "the database is away or busy; retry with the same request id"
	return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonDatabaseUnavailable, text, retryDelay).WithCause(err)
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
