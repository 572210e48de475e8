package members

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

// entry is one word from the members' bucket, at a time counted in renewals by the pod's clock and
// the servers' alike.
type entry struct {
	at      float64
	name    string
	expired bool
	left    bool
	// back is how far the servers' clock is behind what it was at first, in renewals.
	back float64
	// want are the members afterwards; nil: not known.
	want []string
}

// ttl is how long an entry lives, in renewals.
const ttl = float64(prepare.MemberTTL) / float64(renewEvery)

var rosterTests = []struct {
	name    string
	entries []entry
}{
	{"members come, expire and leave", []entry{
		{at: 0, name: "other"},
		{at: 0, name: "self", want: []string{"other", "self"}},
		{at: 0, name: "third", want: []string{"other", "self", "third"}},
		{at: 1, name: "self", want: []string{"other", "self", "third"}},
		{at: 1, name: "third", left: true, want: []string{"other", "self"}},
		{at: 2, name: "self", want: []string{"other", "self"}},
		{at: ttl - 0.1, name: "self", want: []string{"other", "self"}},
		{at: ttl, name: "other", expired: true, want: []string{"self"}},
	}},
	{"a word that got lost", []entry{
		{at: 0, name: "self", want: []string{"self"}},
		{at: 0, name: "other", want: []string{"other", "self"}},
		{at: 2, name: "self", want: []string{"other", "self"}},
		{at: 4, name: "self", want: []string{"other", "self"}},
		{at: 6, name: "self", want: []string{"other", "self"}},
		{at: 2 * ttl, name: "self", want: []string{"other", "self"}},
		{at: 2*ttl + 0.5, name: "self", want: []string{"self"}},
	}},
	{"servers away: nobody moves for it", []entry{
		{at: 0, name: "self", want: []string{"self"}},
		{at: 0, name: "other", want: []string{"other", "self"}},
		{at: 0, name: "third", want: []string{"other", "self", "third"}},
		{at: 20, name: "other", expired: true, want: []string{"other", "self", "third"}},
		{at: 20, name: "self", expired: true},
		{at: 20, name: "third", expired: true},
		{at: 20.1, name: "self", want: []string{"other", "self", "third"}},
		{at: 20.9, name: "third", want: []string{"other", "self", "third"}},
		{at: 21.1, name: "self", want: []string{"other", "self", "third"}},
		{at: 22.1, name: "self", want: []string{"other", "self", "third"}},
		{at: 22.5, name: "third", want: []string{"other", "self", "third"}},
		{at: 20.1 + ttl, name: "self", want: []string{"self", "third"}},
	}},
	{"servers away, and the entries expire after the first renewal", []entry{
		{at: 0, name: "self", want: []string{"self"}},
		{at: 0, name: "other", want: []string{"other", "self"}},
		{at: 20, name: "self", want: []string{"other", "self"}},
		{at: 20.1, name: "other", expired: true, want: []string{"other", "self"}},
		{at: 20.8, name: "other", want: []string{"other", "self"}},
		{at: 22, name: "self", want: []string{"other", "self"}},
		{at: 20 + ttl, name: "self", want: []string{"other", "self"}},
	}},
	{"the servers' clock goes back, and then a pod dies", []entry{
		{at: 0, name: "self", want: []string{"self"}},
		{at: 0, name: "other", want: []string{"other", "self"}},
		{at: 0, name: "third", want: []string{"other", "self", "third"}},
		{at: 1, back: 100, name: "self", want: []string{"other", "self", "third"}},
		{at: 1, back: 100, name: "third", want: []string{"other", "self", "third"}},
		{at: 2, back: 100, name: "self", want: []string{"other", "self", "third"}},
		{at: 4, back: 100, name: "self", want: []string{"other", "self", "third"}},
		{at: 5, back: 100, name: "self", want: []string{"other", "self", "third"}},
		{at: 1 + ttl, back: 100, name: "third", expired: true, want: []string{"other", "self"}},
		// The servers keep what is from the future for them.
		{at: 7, back: 100, name: "self", want: []string{"other", "self"}},
		{at: 9, back: 100, name: "self", want: []string{"other", "self"}},
		{at: 11, back: 100, name: "self", want: []string{"other", "self"}},
		{at: 13, back: 100, name: "self", want: []string{"other", "self"}},
		{at: 15, back: 100, name: "self", want: []string{"other", "self"}},
		{at: 4*ttl + 0.1, back: 100, name: "self", want: []string{"self"}},
	}},
	{"what was read again says nothing new", []entry{
		{at: 0, name: "self", want: []string{"self"}},
		{at: 0, name: "self", want: []string{"self"}},
		{at: 0, name: "other", want: []string{"other", "self"}},
		{at: 0, name: "other", want: []string{"other", "self"}},
	}},
}

func TestRoster(t *testing.T) {
	for _, test := range rosterTests {
		t.Run(test.name, func(t *testing.T) {
			r := newRoster("self")
			for _, e := range test.entries {
				at := time.Duration(e.at * float64(renewEvery))
				switch {
				case e.expired:
					r.expire(e.name, at)
				case e.left:
					r.left(e.name)
				default:
					stored := time.UnixMilli(1_000_000).Add(at - time.Duration(e.back*float64(renewEvery)))
					r.put(Member{Name: e.name}, stored, at)
				}
				var got []string
				if members, ok := r.members(); ok {
					for _, m := range members {
						got = append(got, m.Name)
					}
				}
				if diff := cmp.Diff(e.want, got); diff != "" {
					t.Errorf("after %+v (-want +got):\n%s", e, diff)
				}
			}
		})
	}
}
