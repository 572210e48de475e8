package board

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

func TestBroadcastsThatAreReceived(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	const uid = "00000000-0000-4000-8000-000000000001"
	message := func(pod string, sent time.Time) []byte {
		raw, err := proto.Marshal(&flashv1.Levels{
			Pod: pod, SentUnixMs: sent.UnixMilli(), Partitions: []*flashv1.PartitionLevels{{
				Sequence: 1, Items: []*flashv1.ItemLevel{{Sku: "a", Available: 7}}, SoldOut: []*flashv1.SoldOutItem{{Sku: "b"}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tests := []struct {
		name    string
		subject string
		data    []byte
		// outcome is how it is counted; empty: not at all.
		outcome string
		level   int64
	}{
		{"another pod's", "orderd.levels." + uid, message("other", now), "received", 7},
		{"the pod's own, which it has already", "orderd.levels." + uid, message("self", now), "", levels.Unknown},
		{"of a promotion that is not known", "orderd.levels.x", message("other", now), "unusable", levels.Unknown},
		{"late", "orderd.levels." + uid, message("other", now.Add(-time.Minute)), "unusable", levels.Unknown},
		{"garbled", "orderd.levels." + uid, []byte{0xff, 0xff}, "garbled", levels.Unknown},
		{"empty", "orderd.levels." + uid, nil, "unusable", levels.Unknown},
		{"far too large", "orderd.levels." + uid, make([]byte, levelsBytes+1), "garbled", levels.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := New(Options{
				Name: "self", Clock: time.Now, Now: func() (time.Time, bool) { return now, true },
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			b.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(&flashv1.Promotion{
				Uid: uid, Name: "sale", Partitions: 1, Streams: []string{"s"},
				Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}},
			})})
			b.receive(&nats.Msg{Subject: test.subject, Data: test.data})
			for _, outcome := range []string{"received", "unusable", "garbled"} {
				want := 0.0
				if outcome == test.outcome {
					want = 1
				}
				if got := testutil.ToFloat64(b.messages.WithLabelValues(outcome)); got != want {
					t.Errorf("%v messages count as %s, want %v", got, outcome, want)
				}
			}
			if got := b.Level(uid, 0, "a"); got != test.level {
				t.Errorf("level %d, want %d", got, test.level)
			}
			if _, marked := b.SoldOut(uid, "b"); marked != (test.outcome == "received") {
				t.Errorf("marked as sold out: %v", marked)
			}
		})
	}
}
