package audit

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// story is a sale that went well, to be broken.
type story struct {
	sale   Sale
	calls  []Call
	finals Finals
}

var start = time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)

// at is a moment after the start.
func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func placed(buyer, request string, ms int, order string, items ...Item) Call {
	return Call{
		Kind: Place, Buyer: buyer, Request: request, Items: items, Sent: at(ms), Answered: at(ms + 10), Outcome: Accepted,
		OrderID: order, State: "ACCEPTED",
	}
}

func refused(buyer, request string, ms int, reason, sku string, items ...Item) Call {
	return Call{
		Kind: Place, Buyer: buyer, Request: request, Items: items, Sent: at(ms), Answered: at(ms + 10), Outcome: Refused,
		Reason: reason, SKU: sku,
	}
}

func unknown(buyer, request string, ms int, items ...Item) Call {
	return Call{
		Kind: Place, Buyer: buyer, Request: request, Items: items, Sent: at(ms), Answered: at(ms + 10), Reason: "unavailable",
	}
}

func paid(buyer, order string, ms int) Call {
	return Call{Kind: Pay, Buyer: buyer, OrderID: order, Sent: at(ms), Answered: at(ms + 10), Outcome: Accepted}
}

func row(id, buyer, state string, paid int64, lines ...Line) Row {
	r := Row{OrderID: id, Buyer: buyer, State: state, Paid: paid, Lines: lines}
	for _, l := range lines {
		r.Total += l.Price * l.Quantity
	}
	return r
}

// good sells 2 of 3 a and all 2 of b, after one of b came back.
func good() story {
	a, b := Item{"a", 1}, Item{"b", 1}
	return story{
		sale: Sale{
			Start: start, End: at(4000), PaymentTimeout: 10 * time.Second,
			Offers: []Offer{{SKU: "a", Price: 5, Limit: 2, Stock: 3, Before: 100}, {SKU: "b", Price: 7, Stock: 2, Before: 50}},
		},
		calls: []Call{
			refused("x", "0", -100, "NOT_STARTED", "", a),
			placed("x", "1", 100, "o1", a, b),
			placed("x", "1", 200, "o1", b, a),
			refused("x", "1", 250, "REQUEST_ID_REUSED", "", Item{"a", 2}),
			placed("x", "2", 300, "o2", a),
			refused("x", "3", 350, "LIMIT_PER_BUYER", "a", a),
			unknown("y", "1", 400, b),
			{Kind: Find, Buyer: "y", Request: "1", Sent: at(500), Answered: at(510), Outcome: Accepted, OrderID: "o3",
				State: "ACCEPTED"},
			{Kind: Get, Buyer: "y", OrderID: "o3", Sent: at(520), Answered: at(530), Outcome: Accepted, State: "ACCEPTED"},
			{Kind: Get, Buyer: "y", OrderID: "o3", Sent: at(540), Answered: at(550), Outcome: Accepted,
				State: "PENDING_PAYMENT"},
			refused("z", "1", 600, "SOLD_OUT", "b", b),
			{Kind: Cancel, Buyer: "y", OrderID: "o3", Sent: at(700), Answered: at(710), Outcome: Accepted},
			{Kind: Find, Buyer: "y", Request: "1", Sent: at(800), Answered: at(810), Outcome: Accepted, OrderID: "o3",
				State: "RELEASED"},
			placed("z", "1", 900, "o4", b),
			paid("x", "o1", 950), paid("x", "o2", 950), paid("z", "o4", 950),
			refused("w", "1", 2600, "SOLD_OUT", "b", b),
			refused("w", "2", 4100, "ENDED", "", b),
		},
		finals: Finals{
			Rows: []Row{
				row("o1", "x", "PAID", 12, Line{a, 5}, Line{b, 7}), row("o2", "x", "PAID", 5, Line{a, 5}),
				row("o3", "y", "CANCELLED", 0, Line{b, 7}), row("o4", "z", "PAID", 7, Line{b, 7}),
			},
			Results: []Result{
				{SKU: "a", Allocated: 3, Sold: 2, Returned: 1, Available: 98, Deducted: 2},
				{SKU: "b", Allocated: 2, Sold: 2, Returned: 0, Available: 48, Deducted: 2},
			},
		},
	}
}

func TestAGoodSaleIsNoViolation(t *testing.T) {
	s := good()
	if v := Check(s.sale, s.calls, s.finals); len(v) > 0 {
		t.Errorf("%v", v)
	}
}

// broken is a sale that went wrong in one way.
type broken struct {
	name, law string
	damage    func(*story)
}

func brokenSales() []broken {
	a, b := Item{"a", 1}, Item{"b", 1}
	return []broken{
		{"an acknowledged order is not in the database", Lost, func(s *story) { s.finals.Rows = s.finals.Rows[1:] }},
		{"an order is in the database twice", Twice,
			func(s *story) { s.finals.Rows = append(s.finals.Rows, s.finals.Rows[0]) }},
		{"a retry gets another order", Twice, func(s *story) { s.calls[2].OrderID = "o2" }},
		{"two requests get one order", Twice, func(s *story) { s.calls[4].OrderID = "o1" }},
		{"another body is accepted", Twice, func(s *story) { s.calls[2].Items = []Item{a} }},
		{"another body is refused for something else", Differs,
			func(s *story) { s.calls[3].Reason = "SOLD_OUT"; s.calls[3].SKU = "a" }},
		{"a retry is refused", Differs, func(s *story) { s.calls[2].Outcome, s.calls[2].Reason = Refused, "ENDED" }},
		{"another buyer", Differs, func(s *story) { s.finals.Rows[1].Buyer = "y" }},
		{"another quantity", Differs, func(s *story) { s.finals.Rows[1].Lines[0].Quantity = 2 }},
		{"another item", Differs, func(s *story) { s.finals.Rows[1].Lines[0].SKU = "b" }},
		{"another price", Differs, func(s *story) { s.finals.Rows[1].Lines[0].Price = 6 }},
		{"a total that is not the lines'", Money, func(s *story) { s.finals.Rows[1].Total = 6 }},
		{"a paid order without its money", Money, func(s *story) { s.finals.Rows[1].Paid = 4 }},
		{"money of a cancelled order", Money, func(s *story) { s.finals.Rows[2].Paid = 7 }},
		{"accepted before the start", TooEarly, func(s *story) { s.sale.Start = at(150) }},
		{"more than the limit", OverLimit, func(s *story) { s.sale.Offers[0].Limit = 1 }},
		{"more than there is", Oversold, func(s *story) { s.sale.Offers[0].Stock = 1 }},
		{"more than there is at the end", Oversold, func(s *story) { s.finals.Results[0].Sold = 4 }},
		{"more than there is before the top-up", Oversold, func(s *story) {
			s.sale.Offers[0].Stock = 1
			s.sale.TopUps = []TopUp{{"a", 2, at(2000)}}
			s.finals.Results[0].Allocated, s.finals.Results[0].ToppedUp = 1, 2
		}},
		{"sold out while there is stock", FalseSoldOut, func(s *story) {
			s.calls = append(s.calls, refused("v", "1", 2000, "SOLD_OUT", "a", a))
		}},
		{"sold out before anybody can have bought", FalseSoldOut, func(s *story) {
			s.calls = append(s.calls, refused("v", "1", 20, "SOLD_OUT", "b", b))
		}},
		{"sold out long after it came back", FalseSoldOut, func(s *story) {
			i := slices.IndexFunc(s.calls, func(c Call) bool { return c.OrderID == "o4" })
			s.calls[i].Sent, s.calls[i].Answered = at(3900), at(3910)
		}},
		{"left while buyers wanted it", Undersold, func(s *story) {
			s.finals.Rows = slices.DeleteFunc(s.finals.Rows, func(r Row) bool { return r.OrderID == "o4" })
			s.calls = slices.DeleteFunc(s.calls, func(c Call) bool { return c.OrderID == "o4" })
			s.finals.Results[1].Sold, s.finals.Results[1].Returned = 1, 1
		}},
		{"an unknown outcome stays unknown", Unresolved,
			func(s *story) { s.calls = append(s.calls, unknown("v", "1", 2000, a)) }},
		{"an order of which nobody knows", Unresolved,
			func(s *story) { s.finals.Rows = append(s.finals.Rows, row("o9", "v", "CANCELLED", 0, Line{b, 7})) }},
		{"an order that waits for its payment for ever", Unresolved,
			func(s *story) { s.finals.Rows[0].State = "PENDING_PAYMENT" }},
		{"accepted and then not found in the lane", Gap, func(s *story) {
			s.calls[12].Outcome, s.calls[12].Reason, s.calls[12].OrderID = Refused, "ORDER_NOT_FOUND", ""
		}},
		{"accepted and then not found", Gap, func(s *story) {
			s.calls[8].Outcome, s.calls[8].Reason = Refused, "ORDER_NOT_FOUND"
		}},
		{"payable and then only accepted", Backwards,
			func(s *story) { s.calls[8].State, s.calls[9].State = s.calls[9].State, s.calls[8].State }},
		{"released and then accepted", Backwards,
			func(s *story) { s.calls[7].State, s.calls[12].State = s.calls[12].State, s.calls[7].State }},
		{"an item is not settled", Invariant, func(s *story) { s.finals.Results = s.finals.Results[:1] }},
		{"a unit is gone", Invariant, func(s *story) { s.finals.Results[0].Returned = 0 }},
		{"another allocation", Invariant, func(s *story) {
			s.finals.Results[0].Allocated, s.finals.Results[0].Returned = 4, 2
		}},
		{"stock did not come back", Stock, func(s *story) { s.finals.Results[0].Available = 97 }},
		{"stock came back twice", Stock, func(s *story) { s.finals.Results[1].Available = 49 }},
		{"stock stays reserved", Stock, func(s *story) { s.finals.Results[1].Reserved = 1 }},
	}
}

func TestEveryKindOfBrokenSaleIsFound(t *testing.T) {
	for _, test := range brokenSales() {
		t.Run(test.name, func(t *testing.T) {
			s := good()
			test.damage(&s)
			v := Check(s.sale, s.calls, s.finals)
			if !slices.ContainsFunc(v, func(v Violation) bool { return v.Law == test.law }) {
				t.Errorf("%s is not found: %v", test.law, v)
			}
		})
	}
}

func TestWhatCannotBeKnownIsNoViolation(t *testing.T) {
	a, b := Item{"a", 1}, Item{"b", 1}
	for name, change := range map[string]func(*story){
		"sold out while a request is under way that took the last": func(s *story) {
			s.calls = append(s.calls, refused("v", "1", 405, "SOLD_OUT", "b", b))
		},
		"sold out just after a release": func(s *story) {
			s.calls = append(s.calls,
				refused("v", "1", 820, "SOLD_OUT", "b", b))
		},
		"left after a release that nobody heard of": func(s *story) {
			s.calls = append(s.calls, placed("v", "1", 950, "o5", a), refused("v", "2", 3000, "SOLD_OUT", "a", a))
			s.finals.Rows = append(s.finals.Rows, row("o5", "v", "CANCELLED", 0, Line{a, 5}))
		},
		"at the limit again after a cancellation": func(s *story) {
			s.sale.Offers[1].Limit = 1
			s.calls = append(s.calls, unknown("y", "2", 750, b), placed("y", "2", 880, "o4", b))
			s.calls = slices.DeleteFunc(s.calls, func(c Call) bool { return c.Buyer == "z" })
			s.finals.Rows[3].Buyer = "y"
		},
		"an answer nobody waited for, and then one": func(s *story) { s.calls = append(s.calls, unknown("x", "2", 1000, a)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			change(&s)
			if v := Check(s.sale, s.calls, s.finals); len(v) > 0 {
				t.Errorf("%v", v)
			}
		})
	}
}

func TestCallsPrintOnOneLine(t *testing.T) {
	for _, c := range good().calls {
		if s := c.String(); strings.ContainsAny(s, "\n") || strings.Contains(s, "%!") {
			t.Errorf("%q", s)
		}
	}
}
