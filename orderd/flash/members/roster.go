package members

import (
	"sort"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

// silentAfter is how long the pod's own renewals may be missing before it blames the servers rather
// than the other pods.
const silentAfter = 2 * renewEvery

// silenceMax is how long another pod may not be heard of by a pod that is, whatever the
// servers' clock says.
const silenceMax = 4 * prepare.MemberTTL

// roster is who the live pods are, from what the members' bucket says. Times named at are by the
// pod's monotonic clock. Not safe for concurrent use.
//
// When the servers that hold the bucket were away, entries expire that nobody could renew: a pod
// that could not renew its own gives the others time to do it, so that no partition moves for
// nothing.
type roster struct {
	own   string
	known map[string]seen
	// back is when the pod's own renewals came again after they were missing; 0: they never were.
	back time.Duration
}

type seen struct {
	Member
	// stored is the server's time of the last renewal, at when the pod first saw it.
	stored time.Time
	at     time.Duration
	// expired says that the servers dropped the entry.
	expired bool
}

func newRoster(own string) *roster { return &roster{own: own, known: map[string]seen{}} }

// put takes an entry, new or seen before.
func (r *roster) put(m Member, stored time.Time, at time.Duration) {
	last, known := r.known[m.Name]
	// Where the servers' clock went back, what was just stored is old by far.
	if age := last.stored.Sub(stored); known && !last.expired && age >= 0 && age <= prepare.MemberTTL {
		return
	}
	if m.Name == r.own && known && (last.expired || at-last.at > silentAfter) {
		r.back = at
	}
	r.known[m.Name] = seen{Member: m, stored: stored, at: at}
	r.sweep(stored, at)
}

// left takes the word of a pod that it goes.
func (r *roster) left(name string) {
	if name == r.own {
		r.expire(name, r.known[name].at)
		return
	}
	delete(r.known, name)
}

// expire takes the servers' word that an entry was not renewed.
func (r *roster) expire(name string, at time.Duration) {
	s, known := r.known[name]
	if !known {
		return
	}
	s.expired = true
	r.known[name] = s
	if name != r.own && !r.silent(at) && !r.returning(at) {
		delete(r.known, name)
	}
}

// sweep drops those who had the time to renew their entries and did not. The servers say when
// entries expire; should their word get lost, with the bucket or on the way, the others' renewals
// tell how old an entry is.
func (r *roster) sweep(stored time.Time, at time.Duration) {
	if r.silent(at) || r.returning(at) {
		return
	}
	for name, s := range r.known {
		silence := at - s.at
		old := silence > prepare.MemberTTL && (stored.Sub(s.stored) > 2*prepare.MemberTTL || silence > silenceMax)
		if name != r.own && (s.expired || old) {
			delete(r.known, name)
		}
	}
}

// silent says that the pod's own renewals are missing.
func (r *roster) silent(at time.Duration) bool {
	own, known := r.known[r.own]
	return !known || own.expired || at-own.at > silentAfter
}

// returning says that they were until not long ago.
func (r *roster) returning(at time.Duration) bool {
	return r.back > 0 && at-r.back < prepare.MemberTTL
}

// members by name, and false while the pod itself is not one: it has been away, and what it knows
// of the others is not better than what it knew before.
func (r *roster) members() ([]Member, bool) {
	own, known := r.known[r.own]
	return r.all(), known && !own.expired
}

// all by name, whether the pod itself is among them or not.
func (r *roster) all() []Member {
	members := make([]Member, 0, len(r.known))
	for _, s := range r.known {
		members = append(members, s.Member)
	}
	sort.Slice(members, func(i, j int) bool { return members[i].Name < members[j].Name })
	return members
}
