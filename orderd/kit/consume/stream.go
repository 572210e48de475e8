package consume

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

const (
	// DeadLetters is the stream of events that a consumer could not handle.
	DeadLetters = "ORDER_DEADLETTERS"
	// deadLetterPrefix begins subjects order.deadletters.<consumer>.<event id>.
	deadLetterPrefix = "order.deadletters."

	// deadLetterRetention is how long staff have.
	deadLetterRetention = 90 * 24 * time.Hour
	// maxDeadLetters is far more than people can look at. When it is reached, further events
	// wait in ORDER_EVENTS.
	maxDeadLetters = 1_000_000
	// deadLetterDuplicates is far longer than AckWait, after which a dead pod's event comes again.
	deadLetterDuplicates = time.Hour
	// maxDeadLetterBytes is an event of the largest size with the headers that a dead letter adds.
	maxDeadLetterBytes = 1<<20 + 16<<10
)

// What a dead letter says beside the original's headers.
const (
	HeaderConsumer = "Orderd-Consumer"
	// HeaderReason is the last error.
	HeaderReason   = "Orderd-Reason"
	HeaderAttempts = "Orderd-Attempts"
	// HeaderFailedAt is RFC 3339.
	HeaderFailedAt = "Orderd-Failed-At"
)

// EnsureDeadLetters makes the stream unless it is there; replicas are 1, 3 or 5. What an administrator
// has set of it stays; what of that breaks a promise is returned, as messaging.Ensure says.
func EnsureDeadLetters(ctx context.Context, js jetstream.JetStream, replicas int) (broken []string, err error) {
	return messaging.Ensure(ctx, js, jetstream.StreamConfig{
		Name:              DeadLetters,
		Description:       "Events that a consumer could not handle.",
		Subjects:          []string{deadLetterPrefix + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardNew,
		MaxAge:            deadLetterRetention,
		MaxMsgs:           maxDeadLetters,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        maxDeadLetterBytes,
		Duplicates:        deadLetterDuplicates,
		AllowDirect:       true,
	}, nil)
}

// DeadLetterSubject is the subject of all dead letters of a consumer, or of every
// consumer if it is empty.
func DeadLetterSubject(consumer string) string {
	if consumer == "" {
		return deadLetterPrefix + ">"
	}
	return deadLetterPrefix + consumer + ".>"
}

// DeadLetterSubjectOf is the one of an event, which has at most one dead letter a consumer. Both
// have to be tokens of a NATS subject.
func DeadLetterSubjectOf(consumer, eventID string) string {
	return deadLetterPrefix + consumer + "." + eventID
}

// ParseDeadLetterSubject takes a dead letter's subject apart.
func ParseDeadLetterSubject(subject string) (consumer, eventID string, ok bool) {
	rest, found := strings.CutPrefix(subject, deadLetterPrefix)
	consumer, eventID, ok = strings.Cut(rest, ".")
	return consumer, eventID, found && ok && consumer != "" && eventID != ""
}
