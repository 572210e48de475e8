package plog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

const (
	// silence is how long a reader hears nothing before it reads on with another consumer. The
	// servers of a cluster tell each other of a new consumer no sooner than they tell the client,
	// and drop what is asked of a consumer that they do not know yet; the client would ask again
	// after half a minute.
	silence = 500 * time.Millisecond
	// silencesMax is how many silences in a row end the reading.
	silencesMax = 10
)

// errSilent says that a consumer brought nothing.
var errSilent = errors.New("no record came in time")

// ReadStream calls each, in order, with the records of a stream's subjects after one sequence and
// up to another, which one of the subjects must have. No subjects: all of the stream's. After an
// error it may be called again for the records that each was not called with.
// [partition.ErrCorrupt]: a record cannot be read.
func ReadStream(
	ctx context.Context, js jetstream.JetStream, stream string, subjects []string, after, upTo uint64,
	each func(uint64, *flashv1.Record) error,
) error {
	for silent := 0; after < upTo; silent++ {
		at, err := readSome(ctx, js, stream, subjects, after, upTo, each)
		if at > after {
			after, silent = at, 0
		}
		if err != nil && (!errors.Is(err, errSilent) || silent == silencesMax || ctx.Err() != nil) {
			return fmt.Errorf("reading stream %s after %d: %w", stream, after, err)
		}
	}
	return nil
}

// readSome reads with one consumer, and returns the sequence up to which it did.
func readSome(
	ctx context.Context, js jetstream.JetStream, stream string, subjects []string, after, upTo uint64,
	each func(uint64, *flashv1.Record) error,
) (uint64, error) {
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		MaxResetAttempts: 3, InactiveThreshold: silencesMax * silence,
	})
	if err != nil {
		return after, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return after, err
	}
	defer messages.Stop()
	for after < upTo {
		sequence, record, err := next(ctx, messages)
		if err != nil {
			return after, err
		}
		if err := each(sequence, record); err != nil {
			return after, err
		}
		after = sequence
	}
	return after, nil
}

func next(ctx context.Context, messages jetstream.MessagesContext) (uint64, *flashv1.Record, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, silence, errSilent)
	defer cancel()
	msg, err := messages.Next(jetstream.NextContext(bounded))
	if err != nil {
		if cause := context.Cause(bounded); errors.Is(cause, errSilent) {
			return 0, nil, cause
		}
		return 0, nil, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return 0, nil, err
	}
	record := &flashv1.Record{}
	if err := proto.Unmarshal(msg.Data(), record); err != nil {
		return 0, nil, fmt.Errorf("%w: sequence %d: %w", partition.ErrCorrupt, meta.Sequence.Stream, err)
	}
	return meta.Sequence.Stream, record, nil
}
