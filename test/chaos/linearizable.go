package main

import (
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/orderd-dev/orderd/orderd/sim/audit"
	"github.com/orderd-dev/orderd/test/kit/linear"
)

const (
	// staleFor and soldOutFor are how far behind refusals may be.
	staleFor   = 500 * time.Millisecond
	soldOutFor = time.Second
	// linearWithin bounds each check; what takes longer is no violation.
	linearWithin = 3 * time.Second
)

// linear checks every buyer's history, and where the sale is one partition, all of it with its stock.
func (s *trial) linear(f audit.Finals) []audit.Violation {
	rules := linear.Rules{Limits: map[string]int64{}, Stale: staleFor, SoldOutFor: soldOutFor}
	raised := map[string]bool{}
	for _, o := range s.plan.offers {
		if o.raised > 0 {
			raised[o.SKU] = true
		}
		if limit := max(o.Limit, o.raised); limit > 0 {
			rules.Limits[o.SKU] = limit
		}
	}
	history := operations(s.facts, s.calls, f, raised)
	violated := s.check("each buyer", rules, history)
	if s.plan.streams*s.plan.per == 1 && len(s.facts.TopUps) == 0 && len(raised) == 0 {
		rules.Stock = map[string]int64{}
		for _, o := range s.plan.offers {
			rules.Stock[o.SKU] = o.Stock
		}
		violated = append(violated, s.check("the partition", rules, history)...)
	}
	return violated
}

func (s *trial) check(what string, rules linear.Rules, history []linear.Operation) []audit.Violation {
	begun := time.Now()
	result, err := linear.Check(rules, history, linearWithin)
	s.note("linearizability of %s: %s after %s", what, result, time.Since(begun).Round(time.Millisecond))
	if result == porcupine.Illegal {
		return []audit.Violation{{Law: "not linearizable", What: what + ": " + err.Error()}}
	}
	return nil
}

// operations of the lane in a sale's calls. A release is the worker's, at a time that
// nobody outside knows.
func operations(sale audit.Sale, calls []audit.Call, f audit.Finals, raised map[string]bool) []linear.Operation {
	var all []linear.Operation
	accepted, cancelled := map[string]time.Time{}, map[string]time.Time{}
	earlier := func(of map[string]time.Time, id string, at time.Time) {
		if was, ok := of[id]; !ok || at.Before(was) {
			of[id] = at
		}
	}
	for _, c := range calls {
		switch c.Kind {
		case audit.Cancel:
			earlier(cancelled, c.OrderID, c.Sent)
		case audit.Place, audit.Find:
			if c.Outcome == audit.Accepted {
				earlier(accepted, c.OrderID, c.Sent)
			}
			all = append(all, operation(c, raised))
		}
	}
	// Who was told of an order late may have had it since the first try.
	requests := map[string]time.Time{}
	for _, c := range calls {
		if c.Kind == audit.Place && c.Outcome != audit.Refused {
			earlier(requests, c.Buyer+"/"+c.Request, c.Sent)
		}
	}
	for _, c := range calls {
		if c.Outcome == audit.Accepted && (c.Kind == audit.Place || c.Kind == audit.Find) {
			if at, ok := requests[c.Buyer+"/"+c.Request]; ok {
				earlier(accepted, c.OrderID, at)
			}
		}
	}
	tellOrders(all)
	for _, row := range f.Rows {
		// A paid one may have been released before its money came.
		from := accepted[row.OrderID].Add(sale.PaymentTimeout)
		if at, ok := cancelled[row.OrderID]; ok && at.Before(from) {
			from = at
		}
		all = append(all, linear.Operation{
			Kind:     linear.Release,
			Buyer:    row.Buyer,
			Order:    row.OrderID,
			Sent:     from,
			Answered: from,
			Outcome:  linear.Unknown,
		})
	}
	return all
}

// tellOrders puts the id that another call told into those without an answer.
func tellOrders(all []linear.Operation) {
	type key struct{ buyer, request string }
	ids := map[key]string{}
	for _, o := range all {
		if o.Outcome == linear.Accepted {
			ids[key{o.Buyer, o.Request}] = o.Order
		}
	}
	for i := range all {
		if all[i].Outcome == linear.Unknown {
			all[i].Order = ids[key{all[i].Buyer, all[i].Request}]
		}
	}
}

// outcomes of refusals.
var outcomes = map[string]linear.Outcome{
	"SOLD_OUT":          linear.SoldOut,
	"LIMIT_PER_BUYER":   linear.OverLimit,
	"REQUEST_ID_REUSED": linear.Reused,
	"ORDER_NOT_FOUND":   linear.NotFound,
	// Said before the partition is asked.
	"ADMISSION_REQUIRED": linear.Nothing,
	"ADMISSION_INVALID":  linear.Nothing,
	"ITEMS_APART":        linear.Nothing,
}

func operation(c audit.Call, raised map[string]bool) linear.Operation {
	o := linear.Operation{
		Kind: linear.Place, Buyer: c.Buyer, Request: c.Request, Items: map[string]int64{}, Sent: c.Sent, Answered: c.Answered,
		SKU: c.SKU, Order: c.OrderID, Released: c.State == "RELEASED",
	}
	if c.Kind == audit.Find {
		o.Kind = linear.Lookup
	}
	for _, i := range c.Items {
		o.Items[i.SKU] = i.Quantity
	}
	switch c.Outcome {
	case audit.Accepted:
		o.Outcome = linear.Accepted
	case audit.Refused:
		var ok bool
		if o.Outcome, ok = outcomes[c.Reason]; !ok {
			o.Outcome = linear.Refused
		}
		if o.Outcome == linear.OverLimit && raised[c.SKU] {
			// The limit was lower at first.
			o.Outcome = linear.Nothing
		}
	}
	return o
}
