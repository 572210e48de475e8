package sale

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mismatch is where a sale does not add up.
type Mismatch string

const (
	// LogMismatch: in the partitions' logs, what was allocated and topped up is not what is sold
	// and unsold, or it is not what the database says was allocated and topped up.
	LogMismatch Mismatch = "LogMismatch"
	// DatabaseMismatch: logs and database disagree on what was sold, or on what was returned.
	DatabaseMismatch Mismatch = "DatabaseMismatch"
)

// ViolationError says how the invariant is violated: for every item, allocated + topped up = sold +
// returned, in the log and in the database. It is nothing that a repetition mends.
type ViolationError struct {
	Where Mismatch
	// Message names every item that does not add up, with its quantities in units.
	Message string
}

// Error is the message.
func (e *ViolationError) Error() string { return e.Message }

// violationOf is nil if there are no problems.
func violationOf(where Mismatch, problems []string) *ViolationError {
	if len(problems) == 0 {
		return nil
	}
	return &ViolationError{Where: where, Message: strings.Join(problems, "; ")}
}

// prove checks, for every item, that what was allocated in the database and added to it later is
// what the log was opened with and got later, that the log has it all as sold or unsold, and that
// the database has the same sold.
func prove(allocated []Quantity, topUps []TopUp, sold []Quantity, totals []Total) *ViolationError {
	if violation := proveLog(allocated, topUps, totals); violation != nil {
		return violation
	}
	return proveSold(sold, totals)
}

// proveLog is prove without what the database has as sold.
func proveLog(allocated []Quantity, topUps []TopUp, totals []Total) *ViolationError {
	log, want, added := bySKU(totals), quantities(allocated), map[string]int64{}
	for _, t := range topUps {
		added[t.SKU] += t.Quantity
	}
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, sku := range union(want, log) {
		t := log[sku]
		if t.Allocated != want[sku] {
			problem("%s: %d allocated in the database, %d in the log", sku, want[sku], t.Allocated)
		}
		if t.ToppedUp != added[sku] {
			problem("%s: %d topped up in the database, %d in the log", sku, added[sku], t.ToppedUp)
		}
		if t.Allocated+t.ToppedUp != t.Sold+t.Unsold {
			problem("%s: allocated %d + topped up %d is not sold %d + unsold %d", sku, t.Allocated, t.ToppedUp, t.Sold, t.Unsold)
		}
	}
	return violationOf(LogMismatch, problems)
}

// proveSold checks that log and database have the same sold.
func proveSold(sold []Quantity, totals []Total) *ViolationError {
	log, have := bySKU(totals), quantities(sold)
	var problems []string
	for _, sku := range union(have, log) {
		if have[sku] != log[sku].Sold {
			problems = append(problems, fmt.Sprintf("%s: sold %d in the log, %d in the database", sku, log[sku].Sold, have[sku]))
		}
	}
	return violationOf(DatabaseMismatch, problems)
}

// proveReturned checks that the database returned what the log has as unsold.
func proveReturned(returned []Quantity, totals []Total) *ViolationError {
	have := quantities(returned)
	var problems []string
	for _, t := range totals {
		if have[t.SKU] != t.Unsold {
			problems = append(problems, fmt.Sprintf("%s: unsold %d, returned %d", t.SKU, t.Unsold, have[t.SKU]))
		}
	}
	return violationOf(DatabaseMismatch, problems)
}

func bySKU(totals []Total) map[string]Total {
	m := make(map[string]Total, len(totals))
	for _, t := range totals {
		m[t.SKU] = t
	}
	return m
}

func quantities(list []Quantity) map[string]int64 {
	m := make(map[string]int64, len(list))
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
