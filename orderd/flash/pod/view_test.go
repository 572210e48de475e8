package pod

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/members"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/route"
)

// pods are called a, b and so on.
func pods(serviceAddresses ...string) []members.Member {
	var pods []members.Member
	for i, address := range serviceAddresses {
		name := string(rune('a' + i))
		pods = append(pods, members.Member{Name: name, Address: name + ":1", ServiceAddress: address})
	}
	return pods
}

func TestEveryPartitionHasAnOwnerAndARoute(t *testing.T) {
	promo := promotion.New(&flashv1.Promotion{Uid: "uid", Name: "sale", Partitions: 64})
	tests := []struct {
		name    string
		members []members.Member
	}{
		{"all say where gateways reach them", pods("a:2", "b:2", "c:2")},
		{"one does not", pods("a:2", "", "c:2")},
		{"two say the same", pods("x:2", "x:2", "c:2")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := route.NewPlaced(promo, test.members, placement.NewMembers(addresses(test.members)))
			counts := map[string]int{}
			for n, owner := range p.Owners {
				counts[owner.Name]++
				if p.Routes[n] == "" {
					t.Errorf("partition %d has no route", n)
				}
			}
			for _, m := range test.members {
				if counts[m.Name] < 10 || counts[m.Name] > 27 {
					t.Errorf("%s has %d of 64 partitions", m.Name, counts[m.Name])
				}
			}
		})
	}
	if p := route.NewPlaced(promo, nil, nil); len(p.Owners) != 64 || p.OwnedBy(0, "a") || len(p.Routes) != 0 {
		t.Errorf("without members: %v", p.Owners)
	}
}

func testPod(tb testing.TB) *Pod {
	tb.Helper()
	p, err := New(Options{
		Name: "self", Clock: time.Now, Random: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestASecondPodsMetricsAreRefused(t *testing.T) {
	registry := prometheus.NewRegistry()
	options := Options{
		Name: "self", Clock: time.Now, Random: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler), Registerer: registry,
	}
	if _, err := New(options); err != nil {
		t.Fatal(err)
	}
	if _, err := New(options); err == nil {
		t.Error("two pods' metrics are in one registry")
	}
}

func TestPromotionsByName(t *testing.T) {
	views := newViews(func(map[string]*promotion.Promotion) {})
	h := views.promotionsHandler(slog.New(slog.DiscardHandler), func(string) {})
	put := func(promo *flashv1.Promotion) {
		value, err := proto.Marshal(promo)
		if err != nil {
			t.Fatal(err)
		}
		h.Put(promo.GetUid(), value, time.Now())
	}
	expect := func(when, uid string) {
		t.Helper()
		got := ""
		if found := views.load().byName["sale"]; found != nil {
			got = found.GetUid()
		}
		if got != uid {
			t.Errorf("%s: found %q, want %q", when, got, uid)
		}
	}
	put(&flashv1.Promotion{Uid: "new", Name: "sale", Partitions: 1, StartUnixMs: 2})
	put(&flashv1.Promotion{Uid: "old", Name: "sale", Partitions: 1, StartUnixMs: 9, Closed: true})
	expect("the one that is not closed", "new")
	h.Put("broken", []byte{0xff}, time.Now())
	put(&flashv1.Promotion{Uid: "none", Name: "sale", StartUnixMs: 99})
	put(&flashv1.Promotion{Uid: "odd", Name: "sale", StartUnixMs: 99, Partitions: 3, Streams: []string{"s", "t"}})
	put(&flashv1.Promotion{Uid: "few", Name: "sale", StartUnixMs: 99, Partitions: 1, Streams: []string{"s", "t"}})
	put(&flashv1.Promotion{
		Uid: "apart", Name: "sale", StartUnixMs: 99, Partitions: 2, Streams: []string{"s"},
		Items: []*flashv1.PromotedItem{{Sku: "a", Stream: 1}},
	})
	expect("what cannot be read does not count", "new")
	h.Synced(map[string]struct{}{"old": {}})
	expect("removed while nobody watched", "old")
	h.Delete("old")
	expect("removed", "")
}

// fullView is as large as they get: 50 promotions of 1,000 items in 64 partitions, and 20 pods.
func fullView(b *testing.B) (*views, []members.Member) {
	b.Helper()
	views := testPod(b).views
	var pods []members.Member
	for i := range 20 {
		pods = append(pods, members.Member{
			Name: fmt.Sprintf("pod-%02d", i), Address: fmt.Sprintf("10.0.0.%d:8082", i),
			ServiceAddress: fmt.Sprintf("10.0.0.%d:8080", i),
		})
	}
	views.update(func(v *view) {
		v.setMembers(pods)
		promotions := map[string]*promotion.Promotion{}
		for i := range 50 {
			uid := fmt.Sprint("uid-", i)
			promo := &flashv1.Promotion{
				Uid: uid, Name: fmt.Sprint("sale-", i), Partitions: 64, Streams: []string{"s"},
			}
			for sku := range 1000 {
				promo.Items = append(promo.Items, &flashv1.PromotedItem{Sku: fmt.Sprint("sku-", sku)})
			}
			promotions[uid] = promotion.New(promo)
		}
		v.setPromotions(promotions)
	})
	return views, pods
}

func BenchmarkAMemberGoes(b *testing.B) {
	views, pods := fullView(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		views.setMembers(pods[:19+i%2])
	}
}

func BenchmarkAPromotionChanges(b *testing.B) {
	views, _ := fullView(b)
	changed := views.load().byUID["uid-7"].Promotion.Promotion
	b.ReportAllocs()
	for b.Loop() {
		views.update(func(v *view) {
			promotions := v.promotions()
			promotions["uid-7"] = promotion.New(changed)
			v.setPromotions(promotions)
		})
	}
}
