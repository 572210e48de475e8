package main

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/orderd-dev/orderd/orderd/sim/audit"
	"github.com/orderd-dev/orderd/test/kit/linear"
)

func TestLinearizabilityOfASale(t *testing.T) {
	start := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	call := func(kind audit.Kind, request string, s int, outcome audit.Outcome, reason, order string) audit.Call {
		return audit.Call{
			Kind:     kind,
			Buyer:    "b",
			Request:  request,
			Items:    []audit.Item{{SKU: "a", Quantity: 1}},
			Sent:     at(s),
			Answered: at(s).Add(time.Millisecond),
			Outcome:  outcome,
			Reason:   reason,
			SKU:      "a",
			OrderID:  order,
		}
	}
	sale := audit.Sale{PaymentTimeout: time.Minute}
	good := []audit.Call{
		call(audit.Place, "1", 0, audit.Unknown, "", ""), call(audit.Place, "1", 1, audit.Accepted, "", "o1"),
		call(audit.Place, "2", 3, audit.Refused, "LIMIT_PER_BUYER", ""), call(audit.Cancel, "", 5, audit.Accepted, "", "o1"),
		call(audit.Place, "2", 7, audit.Accepted, "", "o2"), call(audit.Find, "2", 8, audit.Accepted, "", "o2"),
		call(audit.Place, "3", 12, audit.Refused, "SOLD_OUT", ""),
	}
	finals := audit.Finals{
		Rows: []audit.Row{{OrderID: "o1", Buyer: "b", State: "CANCELLED"}, {OrderID: "o2", Buyer: "b", State: "PAID"}},
	}
	rules := linear.Rules{
		Limits:     map[string]int64{"a": 1},
		Stock:      map[string]int64{"a": 1},
		Stale:      staleFor,
		SoldOutFor: soldOutFor,
	}
	for _, test := range []struct {
		name   string
		change func([]audit.Call)
		want   porcupine.CheckResult
	}{
		{"as it went", func([]audit.Call) {}, porcupine.Ok},
		{
			"accepted over the limit", func(c []audit.Call) { c[2].Outcome, c[2].OrderID = audit.Accepted, "o2" },
			porcupine.Illegal,
		},
		{"cancelled too late for what came after", func(c []audit.Call) { c[3].Sent = at(9) }, porcupine.Illegal},
		{
			"not found once accepted",
			func(c []audit.Call) { c[5].Outcome, c[5].Reason, c[5].OrderID = audit.Refused, "ORDER_NOT_FOUND", "" },
			porcupine.Illegal,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := append([]audit.Call{}, good...)
			test.change(calls)
			got, err := linear.Check(rules, operations(sale, calls, finals, nil), time.Minute)
			if got != test.want {
				t.Errorf("%v: %v", got, err)
			}
		})
	}
}
