package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

func TestRowsWithGoals(t *testing.T) {
	least, most := map[string]float64{}, map[string]float64{}
	var ids []string
	for _, r := range rows() {
		ids = append(ids, r.ID)
		switch {
		case r.Goal == nil:
		case r.AtMost:
			most[r.ID] = *r.Goal
		default:
			least[r.ID] = *r.Goal
		}
	}
	if diff := cmp.Diff(map[string]float64{
		"unary_vs_noop":              0.85,
		"unary_vs_redis":             2,
		"unary_vs_sql":               15,
		"stream_vs_unary":            8,
		"stream_accepted_per_second": 42500,
		"sold_out_vs_noop":           0.95,
	}, least); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]float64{"overload_p99_ratio": 3, "standard_p99_ratio": 1.3}, most); diff != "" {
		t.Error(diff)
	}
	slices.Sort(ids)
	if unique := slices.Compact(slices.Clone(ids)); len(unique) != len(ids) {
		t.Error("an id stands twice")
	}
}

func TestBuyersOfGoToTheirPartition(t *testing.T) {
	s := &flashSale{Promotion: &flashv1.Promotion{Name: "p", Partitions: 6}}
	call, seen := buyersOf(s), map[string]bool{}
	for caller := range 12 {
		for n := range 20 {
			message, _ := call(caller, n)
			buyer := message.(*flashv1.PlaceFlashOrderRequest).GetBuyerId()
			if got := partition.ForBuyer(buyer, 6); got != int32(caller%6) || seen[buyer] {
				t.Fatalf("caller %d: %s of partition %d, seen before: %t", caller, buyer, got, seen[buyer])
			}
			seen[buyer] = true
		}
	}
}

func TestFunctions(t *testing.T) {
	location := func(names ...string) *profile.Location {
		l := &profile.Location{}
		for _, name := range names {
			l.Line = append(l.Line, profile.Line{Function: &profile.Function{Name: name}})
		}
		return l
	}
	sample := func(took time.Duration, stack ...*profile.Location) *profile.Sample {
		return &profile.Sample{Location: stack, Value: []int64{1, int64(took)}}
	}
	// inlined is in the same location as the function that it is inlined into;
	// recursive calls itself.
	got, sum := functions(&profile.Profile{SampleType: make([]*profile.ValueType, 2), Sample: []*profile.Sample{
		sample(10*time.Millisecond, location("inlined", "outer"), location("main")),
		sample(30*time.Millisecond, location("recursive"), location("recursive"), location("main")),
		sample(20*time.Millisecond, location("outer"), location("main")),
	}})
	const ms = time.Millisecond
	want := []function{
		{"recursive", 30 * ms, 30 * ms},
		{"outer", 20 * ms, 30 * ms},
		{"inlined", 10 * ms, 10 * ms},
		{"main", 0, 60 * ms},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(function{})); diff != "" || sum != 60*ms {
		t.Errorf("%s, sum %s", diff, sum)
	}
}
