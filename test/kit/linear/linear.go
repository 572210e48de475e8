// Package linear checks that what buyers of one partition of a flash sale were answered is
// linearizable: there is an order of all calls, in which each takes effect at one moment between
// being sent and being answered, that a partition which does one thing at a time could have given
// the same answers in. A call whose outcome stayed unknown took effect once at any time since, or
// never.
//
// The partition is idempotent by buyer and request id, keeps buyers' limits, gives an order's units
// back when it is released, and, if its stock is told, sells no more than that. Refusals have the
// two concessions that owners make: see Rules.
package linear

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind of a call.
type Kind int

// The kinds.
const (
	// Place is a request for an order.
	Place Kind = iota
	// Lookup asks what became of a request.
	Lookup
	// Release gives an order back.
	Release
)

// Outcome of a call.
type Outcome int

// The outcomes.
const (
	// Unknown: no answer, or one that leaves open what happened.
	Unknown Outcome = iota
	// Accepted: the answer has the order, or says that it is released.
	Accepted
	// NotFound: a request or an order that there is not.
	NotFound
	// SoldOut, OverLimit: a refusal that names Operation.SKU.
	SoldOut
	OverLimit
	// Reused: the request id stands for other items.
	Reused
	// Refused for another reason, such as the sale's window: there is no order of the request.
	Refused
	// Nothing was done, whatever the state: the call says nothing.
	Nothing
)

// Operation is one call and its answer.
type Operation struct {
	Kind Kind
	// Buyer and Request of a Place or Lookup; Buyer and Order of a Release.
	Buyer, Request string
	// Items of a Place: units by SKU.
	Items          map[string]int64
	Sent, Answered time.Time
	Outcome        Outcome
	// SKU that a refusal names.
	SKU string
	// Order is the id in the answer to Place and Lookup. Also of a Place without an answer, if
	// another call told it: a release before that finds the order by it.
	Order string
	// Released says that the answer calls the order released.
	Released bool
}

// Rules of the partition.
type Rules struct {
	// Limits per buyer in units by SKU; none: no limit. They must not change in the history.
	Limits map[string]int64
	// Stock of the partition by SKU; nil: stock is not checked, and "sold out" believed. It must be
	// all there is: no transfers, no top-ups. With it the history cannot be checked buyer by buyer,
	// which takes far longer.
	Stock map[string]int64
	// SeeReleases wants that an answer with an order knows of a release that was answered before.
	// Owners do not promise it while a partition changes hands: the one before gives a retry its
	// order from memory.
	SeeReleases bool
	// Stale is how far a refusal may be behind, SoldOutFor how much longer "sold out" may be said.
	Stale, SoldOutFor time.Duration
}

// Check is nil if the history is linearizable, or if that could not be found out within a time:
// porcupine.Unknown is no violation.
func Check(rules Rules, history []Operation, within time.Duration) (porcupine.CheckResult, error) {
	operations := make([]porcupine.Operation, 0, len(history))
	for i := range history {
		o := &history[i]
		from, to := o.Sent.UnixNano(), o.Answered.UnixNano()
		switch o.Outcome {
		case Nothing:
			continue
		case Unknown:
			if o.Kind == Lookup {
				continue
			}
			to = math.MaxInt64
		case SoldOut:
			from -= int64(rules.Stale + rules.SoldOutFor)
		case OverLimit, Refused, NotFound:
			from -= int64(rules.Stale)
		}
		operations = append(operations, porcupine.Operation{Input: o, Call: from, Return: to})
	}
	model := rules.Model()
	if rules.Stock == nil {
		deadline := time.Now().Add(within)
		for _, part := range model.Partition(operations) {
			if result := porcupine.CheckOperationsTimeout(model, part,
				max(time.Until(deadline), time.Millisecond)); result != porcupine.Ok {
				return explain(result, part)
			}
		}
		return porcupine.Ok, nil
	}
	result := porcupine.CheckOperationsTimeout(model, operations, within)
	if result != porcupine.Ok {
		return explain(result, operations)
	}
	return result, nil
}

func explain(result porcupine.CheckResult, operations []porcupine.Operation) (porcupine.CheckResult, error) {
	if result != porcupine.Illegal {
		return result, nil
	}
	text := ""
	for _, o := range operations {
		text += "\n" + o.Input.(*Operation).String()
	}
	return result, fmt.Errorf("not linearizable:%s", text)
}

// String is a line of a log.
func (o *Operation) String() string {
	return fmt.Sprintf("%s +%s %s %s/%s %v: %s %s order=%s released=%t", o.Sent.UTC().Format("15:04:05.000000"),
		o.Answered.Sub(o.Sent),
		[]string{"place", "lookup", "release"}[o.Kind], o.Buyer, o.Request, o.Items,
		[]string{"unknown", "accepted", "not found", "sold out", "over limit", "reused", "refused", "nothing"}[o.Outcome],
		o.SKU, o.Order, o.Released)
}
