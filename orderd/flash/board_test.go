package flash

import (
	"errors"
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
		raw, err := proto.Marshal(&flashv1.Levels{Pod: pod, SentUnixMs: sent.UnixMilli(), Partitions: []*flashv1.PartitionLevels{{
			Sequence: 1, Items: []*flashv1.ItemLevel{{Sku: "a", Available: 7}}, SoldOut: []*flashv1.SoldOutItem{{Sku: "b"}},
		}}})
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
			p := testPool()
			p.ClusterClock = func() time.Time { return now }
			p.update(func(v *view) {
				v.setSales(map[string]*promotion.Promotion{uid: promotion.New(&flashv1.Promotion{
					Uid: uid, Name: "sale", Partitions: 1, Streams: []string{"s"}, Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}},
				})})
			})
			p.board.receive(&nats.Msg{Subject: test.subject, Data: test.data})
			for _, outcome := range []string{"received", "unusable", "garbled"} {
				want := 0.0
				if outcome == test.outcome {
					want = 1
				}
				if got := testutil.ToFloat64(p.metrics.levels.WithLabelValues(outcome)); got != want {
					t.Errorf("%v messages count as %s, want %v", got, outcome, want)
				}
			}
			if got := p.board.table.Level(uid, 0, "a"); got != test.level {
				t.Errorf("level %d, want %d", got, test.level)
			}
			if _, marked := p.soldOutMark(uid, "b"); marked != (test.outcome == "received") {
				t.Errorf("marked as sold out: %v", marked)
			}
		})
	}
}

func TestReadyNeedsTheClustersTime(t *testing.T) {
	tests := []struct {
		name string
		skew time.Duration
		want error
	}{
		{"right", 0, nil},
		{"a little fast", 400 * time.Millisecond, nil},
		{"too fast", 600 * time.Millisecond, ErrSkewed},
		{"too slow", -600 * time.Millisecond, ErrSkewed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := testPool()
			// The pod's clock stands still.
			now := p.started
			p.Clock = func() time.Time { return now }
			p.update(func(v *view) { v.synced = true })
			if err := p.Ready(); !errors.Is(err, ErrNoTime) {
				t.Errorf("before a heartbeat: %v, want %v", err, ErrNoTime)
			}
			if _, ok := p.now(); ok {
				t.Error("the time is known before a heartbeat")
			}
			stored := now.Add(-test.skew)
			p.membership.beats.wrote(renewal{revision: 1})
			p.membership.beats.saw(sighting{revision: 1, stored: stored})
			if err := p.Ready(); !errors.Is(err, test.want) {
				t.Errorf("ready: %v, want %v", err, test.want)
			}
			if got, ok := p.now(); !ok || !got.Equal(stored) {
				t.Errorf("now %s (%v), want %s", got, ok, stored)
			}
		})
	}
}
