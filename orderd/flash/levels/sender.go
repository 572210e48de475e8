package levels

import (
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

const (
	// Every is how often a pod looks whether its levels changed.
	Every = 100 * time.Millisecond
	// assureEvery is how often they are said to be unchanged: three times while they are fresh.
	assureEvery = 3 * Every
	// repeatEvery is how often they are said in full although they are unchanged: messages get lost.
	repeatEvery = time.Second
	// coarse is the part of a level by which it changes before that is worth a message. Between empty and not, every change is.
	coarse = 8
	// messageBytes bounds a message, about: a partition is never split.
	messageBytes = 128 << 10
)

// Reading is what a partition's owner says of its shards.
type Reading struct {
	Partition int32
	// Sequence of the log that it was read at.
	Sequence uint64
	Items    []*flashv1.ItemLevel
	// SoldOut has the proofs that the owner has.
	SoldOut []*flashv1.SoldOutItem
}

// Sender decides what a pod broadcasts of a promotion. Not safe for concurrent use.
type Sender struct {
	sent map[int32]*sent
}

// sent is what was last said of a partition.
type sent struct {
	// read is the sequence that was last looked at, sequence that of the levels that were said.
	read, sequence uint64
	// available of each item that was not empty.
	available map[string]int64
	// full and any are when the levels, and when anything, were last said; proved when the latest proof that was said was made.
	full, any, proved time.Time
}

// NewSender has said nothing yet.
func NewSender() *Sender { return &Sender{sent: map[int32]*sent{}} }

// Messages are what to broadcast of readings that were made now, by the pod with the name; often none. Partitions without a reading are
// forgotten.
func (s *Sender) Messages(pod string, now time.Time, readings []Reading) []*flashv1.Levels {
	var messages []*flashv1.Levels
	bytes := 0
	next := make(map[int32]*sent, len(readings))
	for _, reading := range readings {
		last := s.sent[reading.Partition]
		if last == nil {
			last = &sent{}
		}
		next[reading.Partition] = last
		part := last.part(reading, now)
		if part == nil {
			continue
		}
		if size := proto.Size(part); messages == nil || bytes+size > messageBytes {
			messages = append(messages, &flashv1.Levels{Pod: pod, SentUnixMs: now.UnixMilli()})
			bytes = size
		} else {
			bytes += size
		}
		message := messages[len(messages)-1]
		message.Partitions = append(message.Partitions, part)
	}
	s.sent = next
	return messages
}

// part is what to say of a partition, or nil.
func (l *sent) part(reading Reading, now time.Time) *flashv1.PartitionLevels {
	changed := l.available == nil || reading.Sequence != l.read && l.changed(reading.Items)
	l.read = reading.Sequence
	part := &flashv1.PartitionLevels{Partition: reading.Partition}
	newest := l.proved
	for _, proof := range reading.SoldOut {
		if age := time.Duration(proof.GetAgeMs()) * time.Millisecond; age < Fresh {
			part.SoldOut = append(part.SoldOut, proof)
			if at := now.Add(-age); at.After(newest) {
				newest = at
			}
		}
	}
	// A proof's age is in whole milliseconds: the same one may seem to be a little younger the next time.
	proved := newest.Sub(l.proved) > Every/2
	switch {
	case changed || now.Sub(l.full) >= repeatEvery:
		l.keep(reading)
		l.full = now
		for _, level := range reading.Items {
			if level.GetAvailable() > 0 {
				part.Items = append(part.Items, level)
			}
		}
	case proved || now.Sub(l.any) >= assureEvery:
		part.Unchanged = true
	default:
		return nil
	}
	l.any, l.proved = now, newest
	part.Sequence = l.sequence
	return part
}

// changed says whether the levels are other than what was said, as far as it matters.
func (l *sent) changed(items []*flashv1.ItemLevel) bool {
	known := 0
	for _, level := range items {
		now := level.GetAvailable()
		if now == 0 {
			continue
		}
		before, ok := l.available[level.GetSku()]
		if difference := max(now-before, before-now); !ok || difference*coarse >= before && difference > 0 {
			return true
		}
		known++
	}
	return known != len(l.available)
}

func (l *sent) keep(reading Reading) {
	l.sequence = reading.Sequence
	l.available = make(map[string]int64, len(reading.Items))
	for _, level := range reading.Items {
		if level.GetAvailable() > 0 {
			l.available[level.GetSku()] = level.GetAvailable()
		}
	}
}
