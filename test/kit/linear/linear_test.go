package linear_test

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/orderd-dev/orderd/test/kit/linear"
)

// at is a call from one millisecond to another.
func at(from, to int64, o linear.Operation) linear.Operation {
	o.Sent, o.Answered = time.UnixMilli(from), time.UnixMilli(to)
	if o.Buyer == "" {
		o.Buyer = "ann"
	}
	return o
}

func place(request string, quantity int64, outcome linear.Outcome, order string) linear.Operation {
	return linear.Operation{
		Kind: linear.Place, Request: request, Items: map[string]int64{"a": quantity}, Outcome: outcome, Order: order,
		SKU: "a",
	}
}

func lookup(outcome linear.Outcome, order string) linear.Operation {
	return linear.Operation{Kind: linear.Lookup, Request: "r", Outcome: outcome, Order: order}
}

func release() linear.Operation {
	return linear.Operation{Kind: linear.Release, Order: "1", Outcome: linear.Accepted}
}

func ofBob(o linear.Operation) linear.Operation {
	o.Buyer = "bob"
	return o
}

func TestCheck(t *testing.T) {
	const accepted, unknown, notFound = linear.Accepted, linear.Unknown, linear.NotFound
	limit := linear.Rules{Limits: map[string]int64{"a": 2}, Stale: 5 * time.Millisecond, SoldOutFor: 10 * time.Millisecond}
	strict := limit
	strict.SeeReleases = true
	stock := limit
	stock.Stock = map[string]int64{"a": 3}
	tests := []struct {
		name    string
		rules   linear.Rules
		history []linear.Operation
		want    porcupine.CheckResult
	}{
		{"a retry gets its order", limit, []linear.Operation{at(0, 10, place("r", 2, accepted, "1")),
			at(20, 30, place("r", 2, accepted, "1"))}, porcupine.Ok},
		{"a retry gets another order", limit, []linear.Operation{at(0, 10, place("r", 1, accepted, "1")),
			at(20, 30, place("r", 1, accepted, "2"))}, porcupine.Illegal},
		{"over the limit", limit, []linear.Operation{at(0, 10, place("r", 2, accepted, "1")),
			at(20, 30, place("s", 1, accepted, "2"))}, porcupine.Illegal},
		{"the limit comes back", limit, []linear.Operation{at(0, 10, place("r", 2, accepted, "1")), at(11, 12, release()),
			at(20, 30, place("s", 1, accepted, "2"))}, porcupine.Ok},
		{"refused below the limit", limit, []linear.Operation{at(0, 10, place("r", 1, accepted, "1")),
			at(20, 30, place("s", 1, linear.OverLimit, ""))}, porcupine.Illegal},
		{"an unknown outcome that took effect", limit,
			[]linear.Operation{at(0, 10, place("r", 2, unknown, "")), at(20, 30, lookup(accepted, "1"))}, porcupine.Ok},
		{"an unknown outcome that did not", limit,
			[]linear.Operation{at(0, 10, place("r", 2, unknown, "")), at(20, 30, place("s", 2, accepted, "1"))}, porcupine.Ok},
		{"an unknown outcome that did and did not", limit,
			[]linear.Operation{at(0, 10, place("r", 2, unknown, "")), at(20, 30, lookup(accepted, "1")),
				at(40, 50, lookup(notFound, ""))}, porcupine.Illegal},
		{"a lost order", limit, []linear.Operation{at(0, 10, place("r", 2, accepted, "1")),
			at(20, 30, lookup(notFound, ""))}, porcupine.Illegal},
		{"a little behind", limit, []linear.Operation{at(0, 10, place("r", 2, accepted, "1")),
			at(12, 30, lookup(notFound, ""))}, porcupine.Ok},
		{"a release that was not", strict, []linear.Operation{at(0, 10, place("r", 2, accepted, "1")),
			at(11, 12, release()), at(20, 30, lookup(accepted, "1"))}, porcupine.Illegal},
		{"a release that was not seen yet", limit,
			[]linear.Operation{at(0, 10, place("r", 2, accepted, "1")), at(11, 12, release()),
				at(20, 30, lookup(accepted, "1"))}, porcupine.Ok},
		{"oversold", stock, []linear.Operation{at(0, 10, ofBob(place("r", 2, accepted, "1"))),
			at(0, 10, place("r", 2, accepted, "2"))}, porcupine.Illegal},
		{"sold out too early", stock, []linear.Operation{at(0, 10, ofBob(place("r", 2, accepted, "1"))),
			at(30, 40, place("r", 1, linear.SoldOut, ""))}, porcupine.Illegal},
		{"sold out", stock, []linear.Operation{at(0, 10, ofBob(place("r", 2, accepted, "1"))),
			at(30, 40, place("r", 2, linear.SoldOut, ""))}, porcupine.Ok},
		{"sold out a little while ago", stock,
			[]linear.Operation{at(0, 10, ofBob(place("r", 2, accepted, "1"))), at(11, 12, ofBob(release())),
				at(20, 40, place("r", 2, linear.SoldOut, ""))}, porcupine.Ok},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := linear.Check(test.rules, test.history, 10*time.Second); got != test.want ||
				(err != nil) != (got == porcupine.Illegal) {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
		})
	}
}
