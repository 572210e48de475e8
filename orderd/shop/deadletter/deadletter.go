// Package deadletter is how staff look at the events that a consumer could not handle, and what
// they do about them: replay or discard.
package deadletter

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	// The type of the materializer's dead letters, which eventJSON looks up by its name.
	_ "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
)

// letter is a dead letter as the stream holds it.
type letter struct {
	*jetstream.RawStreamMsg
	consumer, eventID string
}

func newLetter(msg *jetstream.RawStreamMsg) letter {
	l := letter{RawStreamMsg: msg}
	// The stream takes no other subjects.
	l.consumer, l.eventID, _ = consume.ParseDeadLetterSubject(msg.Subject)
	return l
}

// id is the letter's sequence, which JetStream counts from 1.
func (l letter) id() int64 { return int64(l.Sequence) }

func (l letter) proto() *deadletterv1.DeadLetter {
	out := &deadletterv1.DeadLetter{
		DeadLetterId: l.id(), Consumer: l.consumer, EventId: l.eventID,
		EventType: l.Header.Get("ce-type"), OrderId: l.Header.Get("ce-subject"), Reason: l.Header.Get(consume.HeaderReason),
		OccurredAt: headerTime(l.Header, "ce-time"), FailedAt: headerTime(l.Header, consume.HeaderFailedAt),
	}
	// What is no number was written by nobody here.
	out.Attempts, _ = strconv.ParseInt(l.Header.Get(consume.HeaderAttempts), 10, 64)
	return out
}

func headerTime(header nats.Header, name string) *timestamppb.Timestamp {
	t, err := time.Parse(time.RFC3339Nano, header.Get(name))
	if err != nil {
		return nil
	}
	return timestamppb.New(t)
}

func (l letter) headers() map[string]string {
	out := make(map[string]string, len(l.Header))
	for name, values := range l.Header {
		out[strings.ToValidUTF8(name, "?")] = strings.ToValidUTF8(strings.Join(values, ", "), "?")
	}
	return out
}

// eventJSON is the event for people to read; empty if nobody can.
func (l letter) eventJSON() string {
	e, err := consume.DecodeEvent(l.Header, l.Data, l.Time)
	if err != nil {
		return ""
	}
	raw, err := protojson.Marshal(e.Message)
	if err != nil {
		return ""
	}
	// protojson puts spaces in at random, so that nobody relies on its bytes.
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return ""
	}
	return compact.String()
}
