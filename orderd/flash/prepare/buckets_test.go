package prepare_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// TestEnsureBucketsOnlyLooksWhereAllIsWell: each change of a stream is work for all servers, and the buckets
// are looked at again and again.
func TestEnsureBucketsOnlyLooksWhereAllIsWell(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	js, err := jetstream.New(testnats.Run(t).Connect(t), jetstream.WithClientTrace(&jetstream.ClientTrace{
		RequestSent: func(subject string, _ []byte) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, subject)
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	changes := func() int {
		t.Helper()
		asked = nil
		if _, err := prepare.EnsureBuckets(t.Context(), js, 1); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		return len(slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return strings.Contains(s, ".INFO.") }))
	}
	if changes() == 0 {
		t.Error("the buckets were not made")
	}
	if n := changes(); n != 0 || len(asked) != 2 {
		t.Errorf("buckets that are as they should be were asked about by %v", asked)
	}
	// Members that expire at another time than pods expect are none.
	other := jetstream.KeyValueConfig{
		Bucket: prepare.MembersBucket, Storage: jetstream.MemoryStorage, TTL: time.Hour, LimitMarkerTTL: time.Hour,
	}
	if _, err := js.UpdateKeyValue(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if changes() == 0 {
		t.Error("a bucket that is not as it should be was left so")
	}
	if n := changes(); n != 0 {
		t.Errorf("the bucket was changed again, by %v", asked)
	}
	if err := js.DeleteKeyValue(t.Context(), prepare.MembersBucket); err != nil {
		t.Fatal(err)
	}
	if changes() == 0 {
		t.Error("a bucket that was lost was not made again")
	}
}
