// Package lease spreads background work of one kind over a fixed number of buckets, and the buckets
// over the live workers: a bucket to one worker at a time, so that workers never contend for rows.
// Losing a lease costs speed and no more: what the work does is conditional or has a unique key.
package lease

import (
	"hash/fnv"
	"time"

	"github.com/google/uuid"
)

// Buckets is how many buckets every kind of work has. Rows store theirs, so it stays what it is.
const Buckets = 16

// Bucket is where the order's background work belongs.
func Bucket(orderID uuid.UUID) int64 {
	h := fnv.New32a()
	// A hash's Write never fails.
	_, _ = h.Write(orderID[:])
	return int64(h.Sum32() % Buckets)
}

// row is one lease in the table.
type row struct {
	Bucket    int64
	Owner     string
	ExpiresAt time.Time
}

// share is how many buckets each of so many live workers may have.
func share(workers int) int {
	if workers < 1 {
		return Buckets
	}
	return (Buckets + workers - 1) / workers
}

// wanted picks up to n buckets that nobody leases, beginning at a place of the worker's own, so that
// workers that start together seldom want the same. Leases in the worker's name that it does not know
// of are those of the process before it, whose container was started again under the same name: they
// are its own at once.
func wanted(rows []row, worker string, kept []int64, now time.Time, n int) []int64 {
	taken := make(map[int64]bool, len(rows))
	for _, r := range rows {
		taken[r.Bucket] = r.Owner != worker && r.ExpiresAt.After(now)
	}
	for _, b := range kept {
		taken[b] = true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(worker))
	first := int64(h.Sum32() % Buckets)
	var out []int64
	for i := int64(0); i < Buckets && len(out) < n; i++ {
		if b := (first + i) % Buckets; !taken[b] {
			out = append(out, b)
		}
	}
	return out
}
