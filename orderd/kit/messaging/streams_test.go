package messaging_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// wanted is a stream as orderd makes it.
func wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s.events.>", "s.replays.>"}, Storage: jetstream.FileStorage, Replicas: 1,
		Discard: jetstream.DiscardNew, MaxAge: 24 * time.Hour, MaxMsgs: 1000, MaxMsgSize: 1 << 20, Duplicates: time.Minute,
		AllowAtomicPublish: true, AllowDirect: true,
	}
}

// byHand is what an administrator sets of a stream.
var byHand = []struct {
	name string
	set  func(*jetstream.StreamConfig)
	// kept is what stays as it was set; nil: nothing of it.
	kept func(jetstream.StreamConfig) any
	want any
	told []string
}{
	{
		"max_bytes", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 },
		func(c jetstream.StreamConfig) any { return c.MaxBytes }, int64(1 << 30),
		[]string{"stream S: max_bytes is 1073741824, not without a limit"},
	},
	{
		"compression", func(c *jetstream.StreamConfig) { c.Compression = jetstream.S2Compression },
		func(c jetstream.StreamConfig) any { return c.Compression }, jetstream.S2Compression, nil,
	},
	{
		"a longer max_age", func(c *jetstream.StreamConfig) { c.MaxAge = 30 * 24 * time.Hour },
		func(c jetstream.StreamConfig) any { return c.MaxAge }, 30 * 24 * time.Hour, nil,
	},
	{
		"a shorter max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		func(c jetstream.StreamConfig) any { return c.MaxAge }, time.Hour,
		[]string{"stream S: max_age is 1h0m0s, not 24h0m0s"},
	},
	{
		"another discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		func(c jetstream.StreamConfig) any { return c.Discard }, jetstream.DiscardOld,
		[]string{"stream S: discard is DiscardOld, not DiscardNew"},
	},
	{
		"one message a subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		func(c jetstream.StreamConfig) any { return c.MaxMsgsPerSubject }, int64(1),
		[]string{"stream S: max_msgs_per_subject is 1, not without a limit"},
	},
	{
		"small messages", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1024 },
		func(c jetstream.StreamConfig) any { return c.MaxMsgSize }, int32(1024),
		[]string{"stream S: max_msg_size is 1024 bytes, not 1048576"},
	},
	{
		"no acknowledgements", func(c *jetstream.StreamConfig) { c.NoAck, c.AllowAtomicPublish = true, false },
		func(c jetstream.StreamConfig) any { return c.NoAck }, true,
		[]string{"stream S: no_ack is set: nobody learns whether a message was stored"},
	},
	{
		"another subject", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "mine.>") },
		func(c jetstream.StreamConfig) any { return c.Subjects }, []string{"s.events.>", "s.replays.>", "mine.>"}, nil,
	},
	{
		"a wider subject", func(c *jetstream.StreamConfig) { c.Subjects = []string{"s.>"} },
		func(c jetstream.StreamConfig) any { return c.Subjects }, []string{"s.>"}, nil,
	},
	{
		"a subject less", func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:1] },
		func(c jetstream.StreamConfig) any { return c.Subjects }, []string{"s.events.>", "s.replays.>"}, nil,
	},
	{
		"no direct get, and no batches",
		func(c *jetstream.StreamConfig) { c.AllowDirect, c.AllowAtomicPublish = false, false },
		func(c jetstream.StreamConfig) any { return []bool{c.AllowDirect, c.AllowAtomicPublish} }, []bool{true, true}, nil,
	},
}

// What an administrator sets of a stream stays; what orderd cannot work without is put back; what breaks
// a promise is told.
func TestEnsureLeavesWhatWasSetByHand(t *testing.T) {
	for _, test := range byHand {
		t.Run(test.name, func(t *testing.T) {
			// A server each: one that is deleting a stream's folder may refuse a stream of the same name for a moment.
			js := testnats.Run(t).JetStream(t)
			if told, err := messaging.Ensure(t.Context(), js, wanted(), nil); err != nil || told != nil {
				t.Fatalf("%v, %v", told, err)
			}
			hand := wanted()
			test.set(&hand)
			if _, err := js.UpdateStream(t.Context(), hand); err != nil {
				t.Fatal(err)
			}
			// A pod that starts again, and once more.
			for range 2 {
				told, err := messaging.Ensure(t.Context(), js, wanted(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.told, told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			}
			stream, err := js.Stream(t.Context(), "S")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, test.kept(stream.CachedInfo().Config)); diff != "" {
				t.Errorf("the stream (-want +got):\n%s", diff)
			}
			if err := js.DeleteStream(t.Context(), "S"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestEnsureSaysWhatCannotBeMade(t *testing.T) {
	js := testnats.Run(t).JetStream(t)
	three := wanted()
	three.Replicas = 3
	if _, err := messaging.Ensure(t.Context(), js, three, nil); err == nil {
		t.Error("one server has a stream of three replicas")
	}
}
