package promotionevent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// violation says how the invariant is violated.
type violation struct{ reason, message string }

// prove checks, for every item, that what was allocated in the database and added to it later is what the log was opened with and
// got later, that the log has it all as sold or unsold, and that the database has the same sold.
func prove(allocated []stock.Quantity, topUps []stock.TopUp, sold []stock.Quantity, totals []provision.Total) *violation {
	inLog := map[string]provision.Total{}
	for _, t := range totals {
		inLog[t.SKU] = t
	}
	var problems []string
	want, added := quantities(allocated), map[string]int64{}
	for _, t := range topUps {
		added[t.SKU] += t.Quantity
	}
	for _, sku := range union(want, inLog) {
		t := inLog[sku]
		if t.Allocated != want[sku] {
			problems = append(problems, fmt.Sprintf("%s: %d allocated in the database, %d in the log", sku, want[sku], t.Allocated))
		}
		if t.ToppedUp != added[sku] {
			problems = append(problems, fmt.Sprintf("%s: %d topped up in the database, %d in the log", sku, added[sku], t.ToppedUp))
		}
		if t.Allocated+t.ToppedUp != t.Sold+t.Unsold {
			problems = append(problems, fmt.Sprintf("%s: allocated %d + topped up %d is not sold %d + unsold %d", sku, t.Allocated, t.ToppedUp, t.Sold, t.Unsold))
		}
	}
	if len(problems) > 0 {
		return &violation{v1alpha1.ReasonLogMismatch, strings.Join(problems, "; ")}
	}
	have := quantities(sold)
	for _, sku := range union(have, inLog) {
		if have[sku] != inLog[sku].Sold {
			problems = append(problems, fmt.Sprintf("%s: sold %d in the log, %d in the database", sku, inLog[sku].Sold, have[sku]))
		}
	}
	if len(problems) > 0 {
		return &violation{v1alpha1.ReasonDatabaseMismatch, strings.Join(problems, "; ")}
	}
	return nil
}

// proveReturned checks that the database returned what the log has as unsold.
func proveReturned(returned []stock.Quantity, totals []provision.Total) *violation {
	have := quantities(returned)
	var problems []string
	for _, t := range totals {
		if have[t.SKU] != t.Unsold {
			problems = append(problems, fmt.Sprintf("%s: unsold %d, returned %d", t.SKU, t.Unsold, have[t.SKU]))
		}
	}
	if len(problems) > 0 {
		return &violation{v1alpha1.ReasonDatabaseMismatch, strings.Join(problems, "; ")}
	}
	return nil
}

func quantities(list []stock.Quantity) map[string]int64 {
	m := map[string]int64{}
	for _, q := range list {
		m[q.SKU] = q.Quantity
	}
	return m
}

// union of the SKUs of two maps, sorted.
func union[A, B any](a map[string]A, b map[string]B) []string {
	skus := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(skus)
	return slices.Compact(skus)
}
