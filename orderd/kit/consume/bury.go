package consume

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// maxReason bounds what a dead letter says of its cause.
	maxReason      = 1000
	publishTimeout = 5 * time.Second
)

// reason is an error as a header and a column can hold it.
func reason(err error) string { return Reason(err.Error()) }

// Reason is a text as HeaderReason can hold it: one line, valid UTF-8, not too long.
func Reason(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	return strings.TrimSpace(text)
}

// bury publishes the dead letter of an event that is marked as dead, and then terminates
// the event. A crash in between, or before, publishes it again under the same Nats-Msg-Id,
// and a subject holds one.
func (r *run) bury(ctx context.Context, it *item, rec record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	_, err := r.options.JetStream.PublishMsg(ctx, r.deadLetter(it, rec))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		err = errors.Join(err, r.ensureDeadLetters(ctx))
	}
	if err != nil {
		r.log.Error("a dead letter was not published and is published again", "event", it.event.ID, "error", err)
		r.suspend([]*item{it}, 0)
		return
	}
	r.metrics.deadLetters.Inc()
	r.log.Error("an event became a dead letter", "event", it.event.ID, "type", it.event.Type, "attempts", rec.attempts,
		"error", rec.reason)
	r.letGo(it, it.msg.TermWithReason("dead letter"))
}

func (r *run) deadLetter(it *item, rec record) *nats.Msg {
	msg := nats.NewMsg(DeadLetterSubjectOf(r.options.Name, it.event.ID))
	msg.Data = it.msg.Data()
	for name, values := range it.msg.Headers() {
		// What the stream needed to take the original in is not the event's.
		if !strings.HasPrefix(name, "Nats-") {
			msg.Header[name] = values
		}
	}
	for name, value := range map[string]string{
		HeaderConsumer: r.options.Name, HeaderReason: rec.reason, HeaderAttempts: strconv.FormatInt(rec.attempts, 10),
		HeaderFailedAt:                 rec.at.UTC().Format(time.RFC3339Nano),
		jetstream.ExpectedStreamHeader: DeadLetters,
		// A replay that fails again is another dead letter.
		jetstream.MsgIDHeader: r.options.Name + "." + it.event.ID + "." + strconv.FormatUint(it.meta.Sequence.Stream, 10),
	} {
		msg.Header.Set(name, value)
	}
	return msg
}

// replayed removes the dead letter of an event that has its effect at last, in case the replay's
// request did not get to that, and acknowledges the event.
func (r *run) replayed(ctx context.Context, it *item, result string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	err := func() error {
		stream, err := r.options.JetStream.Stream(ctx, DeadLetters)
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject(DeadLetterSubjectOf(r.options.Name, it.event.ID)))
	}()
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		r.failed(ctx, it, Later(fmt.Errorf("removing the dead letter: %w", err), 0))
		return
	}
	r.done(it, result)
}

// ReplayMessage is a dead letter as its consumer, and no other, gets it once more. Publishing the
// dead letter of one sequence more than once is harmless.
func ReplayMessage(consumer, eventID string, sequence uint64, header nats.Header, data []byte) *nats.Msg {
	msg := nats.NewMsg(outbox.ReplaySubject(consumer, eventID))
	msg.Data = data
	for name, values := range header {
		if strings.HasPrefix(name, attributePrefix) {
			msg.Header[name] = values
		}
	}
	msg.Header.Set(jetstream.MsgIDHeader, "replay."+consumer+"."+strconv.FormatUint(sequence, 10))
	msg.Header.Set(jetstream.ExpectedStreamHeader, outbox.Stream)
	return msg
}
