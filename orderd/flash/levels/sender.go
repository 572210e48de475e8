package levels

import (
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
)

const (
	// Every is how often a pod looks whether its levels changed.
	Every = 100 * time.Millisecond
	// assureEvery is how often they are said to be unchanged: three times while they are fresh.
	assureEvery = 3 * Every
	// repeatEvery is how often they are said in full although they are unchanged: messages get lost.
	repeatEvery = time.Second
	// coarse is the part of a level by which it changes before that is worth a message. Between
	// empty and not, every change is.
	coarse = 8
	// messageBytes bounds a message, about: a partition is never split.
	messageBytes = 128 << 10
)

// Reading is what a partition's owner says of its shards.
type Reading struct {
	Partition int32
	owner.Levels
}

// Sender decides what a pod broadcasts of a promotion. Not safe for concurrent use.
type Sender struct {
	sent map[int32]*sent
}

// sent is what was last said of a partition.
type sent struct {
	// read is the sequence that was last looked at, sequence that of the levels that were said.
	read, sequence uint64
	// available of each item that was said not to be empty.
	available map[string]int64
	// full and any are when the levels, and when anything, were last said, and proved when the
	// latest proof that was said was made, by the owners' clock: the cluster's may go back.
	full, any, proved time.Time
}

// NewSender has said nothing yet.
func NewSender() *Sender { return &Sender{sent: map[int32]*sent{}} }

// Messages are what to broadcast, by the pod with the name, of readings that were made after now;
// often none. Clock is now by the owners' clock.
func (s *Sender) Messages(pod string, now, clock time.Time, readings []Reading) []*flashv1.Levels {
	var messages []*flashv1.Levels
	bytes := 0
	for _, reading := range readings {
		last := s.sent[reading.Partition]
		if last == nil {
			last = &sent{}
			s.sent[reading.Partition] = last
		}
		part := last.part(reading, clock)
		if part == nil {
			continue
		}
		size := proto.Size(part)
		if messages == nil || bytes+size > messageBytes {
			messages = append(messages, &flashv1.Levels{Pod: pod, SentUnixMs: now.UnixMilli()})
			bytes = 0
		}
		bytes += size
		message := messages[len(messages)-1]
		message.Partitions = append(message.Partitions, part)
	}
	return messages
}

// part is what to say of a partition, or nil.
func (l *sent) part(reading Reading, clock time.Time) *flashv1.PartitionLevels {
	newest := l.proved
	for _, proof := range reading.SoldOut {
		if proof.At.After(newest) {
			newest = proof.At
		}
	}
	part := &flashv1.PartitionLevels{Partition: reading.Partition}
	switch {
	case l.available == nil || clock.Sub(l.full) >= repeatEvery:
		l.all(reading, part)
		l.full = clock
	case reading.Sequence != l.read && l.change(reading, part):
	case newest.After(l.proved) || clock.Sub(l.any) >= assureEvery:
		part.Unchanged = true
	default:
		l.read = reading.Sequence
		return nil
	}
	l.read, l.any, l.proved = reading.Sequence, clock, newest
	part.Sequence = l.sequence
	for _, proof := range reading.SoldOut {
		// Rounded up, and not from the future: a proof may seem to be older than it is, not younger.
		age := max(0, clock.Sub(proof.At)+time.Millisecond-1)
		if age < Fresh {
			part.SoldOut = append(part.SoldOut, &flashv1.SoldOutItem{
				Sku: proof.SKU, Left: proof.Left, AgeMs: age.Milliseconds(),
			})
		}
	}
	return part
}

// change says what is other than what was said, as far as it matters; false if nothing is.
func (l *sent) change(reading Reading, part *flashv1.PartitionLevels) bool {
	for _, level := range reading.Items {
		before := l.available[level.SKU]
		difference := max(level.Available-before, before-level.Available)
		if difference == 0 || level.Available > 0 && difference*coarse < before {
			continue
		}
		part.Items = append(part.Items, &flashv1.ItemLevel{Sku: level.SKU, Available: level.Available})
		if level.Available > 0 {
			l.available[level.SKU] = level.Available
		} else {
			delete(l.available, level.SKU)
		}
	}
	if part.Items == nil {
		return false
	}
	part.Base, l.sequence = l.sequence, reading.Sequence
	return true
}

// all says the levels that are not 0.
func (l *sent) all(reading Reading, part *flashv1.PartitionLevels) {
	l.sequence = reading.Sequence
	l.available = make(map[string]int64, len(reading.Items))
	for _, level := range reading.Items {
		if level.Available > 0 {
			l.available[level.SKU] = level.Available
			part.Items = append(part.Items, &flashv1.ItemLevel{Sku: level.SKU, Available: level.Available})
		}
	}
}
