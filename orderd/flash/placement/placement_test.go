package placement

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The tables of Envoy's own tests: MaglevLoadBalancerTest.Basic and BasicWithHostName.
func TestTableIsEnvoys(t *testing.T) {
	for _, tt := range []struct {
		hosts []string
		want  table
	}{
		{[]string{
			"127.0.0.1:90", "127.0.0.1:91", "127.0.0.1:92", "127.0.0.1:93", "127.0.0.1:94", "127.0.0.1:95",
		}, table{2, 4, 0, 1, 5, 0, 3}},
		{[]string{"90", "91", "92", "93", "94", "95"}, table{2, 5, 0, 3, 4, 1, 0}},
	} {
		if diff := cmp.Diff(tt.want, newTable(tt.hosts, 7)); diff != "" {
			t.Errorf("table of %v (-want +got):\n%s", tt.hosts, diff)
		}
	}
}

func addresses(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("10.1.%d.%d:8080", i/200, 10+i%200)
	}
	return list
}

func TestPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pods := addresses(rapid.IntRange(1, 20).Draw(t, "pods"))
		partitions := rapid.Int32Range(1, 64).Draw(t, "partitions")
		name := rapid.StringMatching(`[a-z]{1,10}`).Draw(t, "promotion")
		p := NewMembers(pods).Place(name, partitions)
		shuffled := rapid.Permutation(pods).Draw(t, "order")
		other := NewMembers(shuffled).Place(name, partitions)
		has := map[string]int{}
		for n, owner := range p.Owners {
			if pods[owner] != shuffled[other.Owners[n]] || p.Routes[n] != other.Routes[n] {
				t.Fatalf("partition %d depends on the order in which the pods are named", n)
			}
			if got := NewMembers(pods).table.pick(p.Routes[n]); got != owner {
				t.Fatalf("route %s leads to %d, its owner is %d", p.Routes[n], got, owner)
			}
			has[pods[owner]]++
		}
		for pod, count := range has {
			if room := (5*int(partitions) + 4*len(pods) - 1) / (4 * len(pods)); count > room {
				t.Fatalf("%s has %d of %d partitions, and room for %d", pod, count, partitions, room)
			}
		}
	})
}

func TestNobodyOwnsWhatNobodyIsThereFor(t *testing.T) {
	if got := NewMembers(nil).Place("sale", 4); len(got.Owners) != 0 || len(got.Routes) != 0 {
		t.Errorf("an empty pool places %v", got)
	}
}

// When a pod goes, those that stay keep most of what they have.
func TestFewPartitionsMoveWithAPod(t *testing.T) {
	var moved, stayed int
	for pods := 2; pods <= 10; pods++ {
		for sale := range 20 {
			before := addresses(pods)
			gone := sale % pods
			after := slices.Delete(slices.Clone(before), gone, gone+1)
			name := fmt.Sprint("sale-", sale)
			partitions := int32(2 * pods)
			a, b := NewMembers(before).Place(name, partitions), NewMembers(after).Place(name, partitions)
			for n := range a.Owners {
				switch before[a.Owners[n]] {
				case before[gone]:
				case after[b.Owners[n]]:
					stayed++
				default:
					moved++
				}
			}
		}
	}
	if moved*10 > stayed {
		t.Errorf("%d partitions moved between pods that stayed, %d stayed", moved, stayed)
	}
}

func BenchmarkMembers(b *testing.B) {
	pods := addresses(20)
	for b.Loop() {
		NewMembers(pods).Place("sale", 64)
	}
}
