// Package plog keeps the partitions' logs of one promotion in its JetStream streams: partition n is
// the subject promo.<uid>.<n>. Every append names the sequence that its writer believes to be the
// subject's last, and the server refuses a writer who is behind. [JetStream] is the log itself;
// [Together] has a pod's partitions append together.
package plog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// ErrRefused says that another record is the subject's last: nothing of the append landed, or ever
// will. After any other error of an append its outcome is unknown, and it may still land.
var ErrRefused = errors.New("append refused: the log has moved on")

// ErrRewound says that the log ends before a record that was seen in it.
var ErrRewound = errors.New("log has lost records")

// LogSubjects are those of all partitions of all promotions.
const LogSubjects = "promo.*.*"

// MaxBatch is how many records one atomic batch may have: the NATS server's default limit.
const MaxBatch = 1000

// Entry is a record to append.
type Entry struct {
	Partition int32
	// Expected is the sequence of the partition's last record; 0: it has none.
	Expected uint64
	// Record is nil if Data is set; [Entry.Decode] gives the record of both.
	Record *flashv1.Record
	// Data is the record as it is written, in place of Record, as reservations are. It may be used
	// again once the append has returned.
	Data []byte
}

// Encode the entry's record.
func (e Entry) Encode() ([]byte, error) {
	if e.Data != nil {
		return e.Data, nil
	}
	data, err := proto.Marshal(e.Record)
	if err != nil {
		return nil, fmt.Errorf("encoding a record of partition %d: %w", e.Partition, err)
	}
	return data, nil
}

// Decode the entry's record.
func (e Entry) Decode() (*flashv1.Record, error) {
	if e.Record != nil {
		return e.Record, nil
	}
	record := &flashv1.Record{}
	if err := proto.Unmarshal(e.Data, record); err != nil {
		return nil, fmt.Errorf("decoding a record of partition %d: %w", e.Partition, err)
	}
	return record, nil
}

// Log is the partitions' logs of one promotion. Safe for concurrent use.
type Log interface {
	// Append returns the record's sequence once it is durable; [ErrRefused]; or an error that
	// leaves the outcome unknown.
	Append(ctx context.Context, entry Entry) (uint64, error)
	// AppendBatch appends all entries or none. They are at most [MaxBatch], of one stream, with a
	// partition in one of them only. It returns the sequence of the last one; the others have the
	// sequences just below, in order. Errors as Append.
	AppendBatch(ctx context.Context, entries []Entry) (uint64, error)
	// Last is the sequence of the partition's last record, as the stream's leader has it; 0 if it
	// has none.
	Last(ctx context.Context, partition int32) (uint64, error)
	// Read calls each with the partition's records after one sequence and up to another, in order.
	Read(ctx context.Context, partition int32, after, upTo uint64, each func(uint64, *flashv1.Record) error) error
}

// StreamNames are a promotion's count streams.
func StreamNames(uid string, count int32) []string {
	names := make([]string, count)
	for k := range names {
		names[k] = "PROMO_" + uid + "_" + strconv.Itoa(k)
	}
	return names
}

// Subject of a partition.
func Subject(uid string, n int32) string { return "promo." + uid + "." + strconv.Itoa(int(n)) }

// Subjects of the partitions of a promotion's stream.
func Subjects(promo *flashv1.Promotion, stream int32) []string {
	count := int32(len(promo.GetStreams()))
	if count <= 1 {
		return []string{"promo." + promo.GetUid() + ".*"}
	}
	per := promo.GetPartitions() / count
	subjects := make([]string, per)
	for i := range subjects {
		subjects[i] = Subject(promo.GetUid(), stream*per+int32(i))
	}
	return subjects
}

// JetStream is the [Log] on real streams.
type JetStream struct {
	js      jetstream.JetStream
	uid     string
	streams []string
	// per is how many partitions a stream has.
	per int32
	// handles are found once: looking one up is a question to the server.
	handles []atomic.Pointer[jetstream.Stream]
}

// New takes the promotion's uid, streams and number of partitions. It does no I/O.
func New(js jetstream.JetStream, promo *flashv1.Promotion) *JetStream {
	streams := promo.GetStreams()
	return &JetStream{
		js: js, uid: promo.GetUid(), streams: streams,
		per:     max(1, promo.GetPartitions()/max(1, int32(len(streams)))),
		handles: make([]atomic.Pointer[jetstream.Stream], len(streams)),
	}
}

// streamOf is the stream that has a partition.
func (l *JetStream) streamOf(n int32) string { return l.streams[n/l.per] }

// Append implements [Log].
func (l *JetStream) Append(ctx context.Context, entry Entry) (uint64, error) {
	msg, err := l.message(entry)
	if err != nil {
		return 0, err
	}
	// No retry here: a refusal of the second try would not say whether the first one landed.
	ack, err := l.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0),
		jetstream.WithExpectStream(l.streamOf(entry.Partition)), jetstream.WithExpectLastSequencePerSubject(entry.Expected))
	if err != nil {
		return 0, appendError(entry, err)
	}
	return ack.Sequence, nil
}

// AppendBatch implements [Log].
func (l *JetStream) AppendBatch(ctx context.Context, entries []Entry) (uint64, error) {
	if len(entries) == 0 || len(entries) > MaxBatch {
		return 0, fmt.Errorf("batch of %d records, want 1 to %d", len(entries), MaxBatch)
	}
	batch, err := jetstreamext.NewBatchPublisher(l.js, jetstreamext.BatchFlowControl{})
	if err != nil {
		return 0, fmt.Errorf("starting a batch: %w", err)
	}
	last := len(entries) - 1
	for i, entry := range entries {
		msg, err := l.message(entry)
		if err != nil {
			return 0, err
		}
		options := []jetstreamext.BatchMsgOpt{
			jetstreamext.WithBatchExpectStream(l.streamOf(entry.Partition)),
			jetstreamext.WithBatchExpectLastSequencePerSubject(entry.Expected),
		}
		if i < last {
			if err := batch.AddMsg(msg, options...); err != nil {
				return 0, appendError(entry, err)
			}
			continue
		}
		ack, err := batch.CommitMsg(ctx, msg, options...)
		if err != nil {
			return 0, appendError(entry, err)
		}
		return ack.Sequence, nil
	}
	return 0, nil
}

func (l *JetStream) message(entry Entry) (*nats.Msg, error) {
	data, err := entry.Encode()
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: Subject(l.uid, entry.Partition), Data: data, Header: nats.Header{}}, nil
}

// IsWrongSequence says whether the server refused a write because the sequence that it expected is
// not the last. The server has two codes for it; with the second one it does not say which sequence
// is.
func IsWrongSequence(err error) bool {
	var api jetstream.JetStreamError
	if !errors.As(err, &api) || api.APIError() == nil {
		return false
	}
	switch api.APIError().ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return true
	default:
		return false
	}
}

// appendError is what an append failed with: [ErrRefused], or an error that leaves the outcome
// unknown.
func appendError(entry Entry, err error) error {
	if IsWrongSequence(err) {
		return fmt.Errorf("partition %d after %d: %w", entry.Partition, entry.Expected, ErrRefused)
	}
	return fmt.Errorf("appending to partition %d after %d: %w", entry.Partition, entry.Expected, err)
}

// Last implements [Log]. The stream has no direct get, so that its leader answers.
func (l *JetStream) Last(ctx context.Context, n int32) (uint64, error) {
	known := &l.handles[n/l.per]
	handle := known.Load()
	if handle == nil {
		stream, err := l.js.Stream(ctx, l.streamOf(n))
		if err != nil {
			return 0, fmt.Errorf("finding stream %s: %w", l.streamOf(n), err)
		}
		handle = &stream
		known.Store(handle)
	}
	msg, err := (*handle).GetLastMsgForSubject(ctx, Subject(l.uid, n))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the last record of partition %d: %w", n, err)
	}
	return msg.Sequence, nil
}

// Read implements [Log].
func (l *JetStream) Read(
	ctx context.Context, n int32, after, upTo uint64, each func(uint64, *flashv1.Record) error,
) error {
	subjects := []string{Subject(l.uid, n)}
	if err := ReadStream(ctx, l.js, l.streamOf(n), subjects, after, upTo, each); err != nil {
		return fmt.Errorf("partition %d: %w", n, err)
	}
	return nil
}

// Catch folds into the state what its partition's log has beyond it, as the leader has it now.
// [ErrRewound]: the log ends before the state's last record.
func Catch(ctx context.Context, log Log, n int32, state *partition.State) error {
	last, err := log.Last(ctx, n)
	if err != nil {
		return err
	}
	if last < state.Sequence() {
		return fmt.Errorf("%w: partition %d ends at %d, %d was seen before", ErrRewound, n, last, state.Sequence())
	}
	return log.Read(ctx, n, state.Sequence(), last, state.Fold)
}
