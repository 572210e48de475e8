package watch_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/watch"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func TestEmpty(t *testing.T) {
	js := testnats.Run(t).JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b", History: 1})
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		do   func() error
		want bool
	}{
		{"nothing was ever stored", func() error { return nil }, true},
		{"a key", func() error { _, err := kv.PutString(t.Context(), "k", "v"); return err }, false},
		{"its key is gone", func() error { return kv.Purge(t.Context(), "k") }, true},
		{"another key", func() error { _, err := kv.PutString(t.Context(), "l", "v"); return err }, false},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got, err := watch.Empty(t.Context(), kv); err != nil || got != step.want {
			t.Errorf("%s: empty %t, %v; want %t", step.name, got, err, step.want)
		}
	}
}

// Whatever was removed last, the keys that are there are told as all of them.
func TestSyncedHasTheKeys(t *testing.T) {
	js := testnats.Run(t).JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b", History: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"kept", "removed"} {
		if _, err := kv.PutString(t.Context(), key, "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Purge(t.Context(), "removed"); err != nil {
		t.Fatal(err)
	}
	synced := make(chan map[string]struct{}, 1)
	same := func(d time.Duration) time.Duration { return d }
	go watch.Bucket(t.Context(), js, "b", same, slog.New(slog.DiscardHandler), watch.Handler{
		Put: func(string, []byte, time.Time) {}, Delete: func(string) {},
		Synced: func(keys map[string]struct{}) {
			select {
			case synced <- keys:
			default:
			}
		},
	})
	select {
	case keys := <-synced:
		if diff := cmp.Diff(map[string]struct{}{"kept": {}}, keys); diff != "" {
			t.Error(diff)
		}
	case <-t.Context().Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the keys were not told")
	}
}
