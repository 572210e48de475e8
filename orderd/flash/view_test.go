package flash

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

func TestEveryPartitionHasAnOwnerAndARoute(t *testing.T) {
	s := promotion.New(&flashv1.Promotion{Uid: "uid", Name: "sale", Partitions: 64})
	tests := []struct {
		name    string
		members []member
	}{
		{"all say where gateways reach them", []member{{"a", "a:1", "a:2"}, {"b", "b:1", "b:2"}, {"c", "c:1", "c:2"}}},
		{"one does not", []member{{"a", "a:1", "a:2"}, {"b", "b:1", ""}, {"c", "c:1", "c:2"}}},
		{"two say the same", []member{{"a", "a:1", "x:2"}, {"b", "b:1", "x:2"}, {"c", "c:1", "c:2"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := place(s, test.members, placement.NewMembers(addresses(test.members)))
			counts := map[string]int{}
			for n, owner := range p.owners {
				counts[owner.Name]++
				if p.routes[n] == "" {
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
	if p := place(s, nil, nil); len(p.owners) != 64 || p.ownedBy(0, "a") || len(p.routes) != 0 {
		t.Errorf("without members: %v", p.owners)
	}
}

func testPool() *Pool {
	return NewPool(Options{
		Name: "self", Clock: time.Now, Random: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

func TestMembers(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	p := testPool()
	h := p.membership.handler()
	put := func(name string, after time.Duration) {
		value, err := proto.Marshal(&flashv1.Member{Name: name, Address: name + ":8082"})
		if err != nil {
			t.Fatal(err)
		}
		h.Put(name, value, start.Add(after))
	}
	expect := func(when string, names ...string) {
		t.Helper()
		var got []string
		for _, m := range p.view.Load().members {
			got = append(got, m.Name)
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}

	put("other", 0)
	expect("before the pod itself is a member")
	put("self", 0)
	put("third", 0)
	expect("all are there", "other", "self", "third")
	h.Delete("third")
	expect("one left", "other", "self")
	h.Delete("self")
	expect("while the pod itself is away, it keeps what it knew", "other", "self")
	put("self", time.Second)
	p.draining.Store(true)
	put("fourth", time.Second)
	expect("while it drains, it is not one", "fourth", "other")
}

func TestPromotionsByName(t *testing.T) {
	p := testPool()
	h := p.promotionsHandler()
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
		if found := p.view.Load().byName["sale"]; found != nil {
			got = found.sale.GetUid()
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
	put(&flashv1.Promotion{Uid: "apart", Name: "sale", StartUnixMs: 99, Partitions: 2, Streams: []string{"s"}, Items: []*flashv1.PromotedItem{{Sku: "a", Stream: 1}}})
	expect("what cannot be read does not count", "new")
	h.Synced(map[string]struct{}{"old": {}})
	expect("removed while nobody watched", "old")
	h.Delete("old")
	expect("removed", "")
}

// fullView is as large as they get: 50 promotions of 1,000 items in 64 partitions, and 20 pods.
func fullView(b *testing.B) (*Pool, []member) {
	b.Helper()
	p := testPool()
	var members []member
	for i := range 20 {
		members = append(members, member{fmt.Sprintf("pod-%02d", i), fmt.Sprintf("10.0.0.%d:8082", i), fmt.Sprintf("10.0.0.%d:8080", i)})
	}
	p.update(func(v *view) {
		v.setMembers(members)
		sales := map[string]*promotion.Promotion{}
		for i := range 50 {
			uid := fmt.Sprint("uid-", i)
			promo := &flashv1.Promotion{Uid: uid, Name: fmt.Sprint("sale-", i), Partitions: 64, Streams: []string{"s"}}
			for sku := range 1000 {
				promo.Items = append(promo.Items, &flashv1.PromotedItem{Sku: fmt.Sprint("sku-", sku)})
			}
			sales[uid] = promotion.New(promo)
		}
		v.setSales(sales)
	})
	return p, members
}

func BenchmarkAMemberGoes(b *testing.B) {
	p, members := fullView(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.update(func(v *view) { v.setMembers(members[:19+i%2]) })
	}
}

func BenchmarkAPromotionChanges(b *testing.B) {
	p, _ := fullView(b)
	changed := p.view.Load().byUID["uid-7"].sale.Promotion
	b.ReportAllocs()
	for b.Loop() {
		p.update(func(v *view) {
			sales := v.sales()
			sales["uid-7"] = promotion.New(changed)
			v.setSales(sales)
		})
	}
}
