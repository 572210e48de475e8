// Package placement says which pod owns which partition. Every pod comes to the same answer from
// the same members, and so does an Envoy gateway that knows nothing but the pods' addresses and a
// request's route: it hashes the route with its policy "maglev", and finds the owner of the buyer's
// partition.
package placement

import "strconv"

// saltsMax is how many routes are tried for a partition until one leads to a pod that has room:
// with half of the pods full, that none of so many does is as likely as one in 2^64.
const saltsMax = 64

// Placement of a promotion's partitions. Never changed.
type Placement struct {
	// Owners has the index of each partition's owner among the addresses; empty while there are
	// none.
	Owners []int
	// Routes has each partition's value for the header RouteHeader.
	Routes []string
}

// RouteHeader is the request header that a gateway hashes.
const RouteHeader = "Orderd-Route"

// Members are the live pods. Never changed.
type Members struct {
	addresses []string
	table     table
}

// NewMembers takes the addresses, as host:port, at which a gateway reaches the pods; each must be
// different.
func NewMembers(addresses []string) *Members {
	return &Members{addresses: addresses, table: newTable(addresses, tableSize)}
}

// Place gives every partition of a promotion an owner, and no pod more than its share and a
// quarter, rounded up. A partition's route is the promotion's name and its number with the first
// salt that leads to a pod with room. The quarter keeps partitions where they are when pods come
// and go: without it a fifth of those of the pods that stay moved, with it one in twenty.
func (m *Members) Place(promotion string, partitions int32) Placement {
	if len(m.addresses) == 0 {
		return Placement{}
	}
	p := Placement{Owners: make([]int, partitions), Routes: make([]string, partitions)}
	room := (5*int(partitions) + 4*len(m.addresses) - 1) / (4 * len(m.addresses))
	has := make([]int, len(m.addresses))
	for n := range p.Owners {
		for salt := range saltsMax {
			p.Routes[n] = promotion + "/" + strconv.Itoa(n) + "/" + strconv.Itoa(salt)
			if p.Owners[n] = m.table.pick(p.Routes[n]); has[p.Owners[n]] < room {
				break
			}
		}
		has[p.Owners[n]]++
	}
	return p
}
