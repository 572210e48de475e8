package audit

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// soldOutAge is how old the proof may be that an item is sold out: a second, and what the broadcast
// takes.
const soldOutAge = 1500 * time.Millisecond

// Names of what can be violated.
const (
	Oversold     = "oversold"
	Undersold    = "undersold"
	Lost         = "lost"
	Twice        = "twice"
	Differs      = "differs"
	OverLimit    = "over the limit"
	Unresolved   = "unresolved"
	TooEarly     = "too early"
	FalseSoldOut = "false sold out"
	Backwards    = "backwards"
	Gap          = "gap"
	Invariant    = "invariant"
	Stock        = "stock"
	Money        = "money"
)

// Violation of what must hold.
type Violation struct {
	Law  string
	What string
}

// String names the law and what broke it.
func (v Violation) String() string { return v.Law + ": " + v.What }

type auditor struct {
	sale   Sale
	calls  []Call
	finals Finals

	rows map[string]Row
	// requests by buyer and request id.
	requests map[key]*request
	// order's request, by order id.
	byOrder  map[string]*request
	violated []Violation
}

type key struct{ buyer, request string }

// request is all that is known of a request id of a buyer.
type request struct {
	key
	calls []Call
	// order that an answer gave, and what was asked for in the call that got it.
	order string
	items []Item
	// sent first of what may have got it, and answered first with the order.
	sent, answered time.Time
}

// Check returns what the sale violated. calls may be in any order.
func Check(sale Sale, calls []Call, finals Finals) []Violation {
	a := &auditor{
		sale: sale, calls: slices.Clone(calls), finals: finals, rows: map[string]Row{}, requests: map[key]*request{},
		byOrder: map[string]*request{},
	}
	sort.SliceStable(a.calls, func(i, j int) bool { return a.calls[i].Answered.Before(a.calls[j].Answered) })
	for _, r := range finals.Rows {
		if _, ok := a.rows[r.OrderID]; ok {
			a.say(Twice, "order %s is in the database twice", r.OrderID)
		}
		a.rows[r.OrderID] = r
	}
	a.gather()
	for _, r := range a.requests {
		a.checkRequest(r)
	}
	a.checkRows()
	a.checkStatus()
	a.checkLimits()
	a.checkUnits()
	a.checkSoldOut()
	a.checkResults()
	return a.violated
}

func (a *auditor) say(law, format string, args ...any) {
	a.violated = append(a.violated, Violation{law, fmt.Sprintf(format, args...)})
}

// gather the calls by request.
func (a *auditor) gather() {
	for _, c := range a.calls {
		if c.Kind != Place && c.Kind != Find {
			continue
		}
		k := key{c.Buyer, c.Request}
		r := a.requests[k]
		if r == nil {
			r = &request{key: k}
			a.requests[k] = r
		}
		// A call that was refused did not get the order.
		if c.Kind == Place && c.Outcome != Refused && (r.sent.IsZero() || c.Sent.Before(r.sent)) {
			r.sent = c.Sent
		}
		r.calls = append(r.calls, c)
		if c.Outcome != Accepted {
			continue
		}
		if r.order == "" {
			r.order, r.answered = c.OrderID, c.Answered
		}
		if c.Kind == Place && r.items == nil {
			r.items = c.Items
		}
		if r.order != c.OrderID {
			a.say(Twice, "request %s of %s has the orders %s and %s", r.request, r.buyer, r.order, c.OrderID)
		}
		if other := a.byOrder[c.OrderID]; other != nil && other.key != r.key {
			a.say(Twice, "order %s answers request %s of %s and request %s of %s", c.OrderID, other.request, other.buyer,
				r.request, r.buyer)
		}
		a.byOrder[c.OrderID] = r
	}
}

// otherBody are the refusals of a request id that was used for something else; what is wrong with a
// body by itself is said first.
var otherBody = []string{"REQUEST_ID_REUSED", "ITEMS_APART", "ADMISSION_REQUIRED", "ADMISSION_INVALID"}

func (a *auditor) checkRequest(r *request) {
	for _, c := range r.calls {
		if c.Kind == Place && c.Outcome == Accepted {
			if c.Answered.Before(a.sale.Start) {
				a.say(TooEarly, "accepted %s before the start: %v", a.sale.Start.Sub(c.Answered), c)
			}
			if r.items != nil && !same(r.items, c.Items) {
				a.say(Twice, "request %s of %s is accepted with %v and with %v", r.request, r.buyer, r.items, c.Items)
			}
		}
		if r.order == "" || !c.Sent.After(r.answered) || c.Outcome != Refused {
			continue
		}
		switch {
		case strings.HasPrefix(c.Reason, "ADMISSION_"):
			// A retry whose buyer got no token, the lane being away: any pod refuses it and looks
			// nothing up.
		case c.Kind == Find:
			a.say(Gap, "accepted at %s and not found later: %v", r.answered.UTC().Format(clock), c)
		case same(c.Items, r.items):
			a.say(Differs, "accepted, and a retry is refused: %v", c)
		case !slices.Contains(otherBody, c.Reason) && r.items != nil:
			a.say(Differs, "the request id was used for %v, and another body is refused for something else: %v", r.items, c)
		}
	}
	if r.order != "" {
		if _, ok := a.rows[r.order]; !ok {
			a.say(Lost, "order %s, request %s of %s, acknowledged at %s, is not in the database", r.order, r.request, r.buyer,
				r.answered.UTC().Format(clock))
		}
		return
	}
	last := r.calls[0]
	for _, c := range r.calls {
		if c.Sent.After(last.Sent) {
			last = c
		}
	}
	if last.Outcome == Unknown {
		a.say(Unresolved, "request %s of %s: %v", r.request, r.buyer, last)
	}
}

const clock = "15:04:05.000"

// same says whether two orders' items are the same, in any order.
func same(a, b []Item) bool {
	a, b = sorted(a), sorted(b)
	return slices.Equal(a, b)
}

func sorted(items []Item) []Item {
	items = slices.Clone(items)
	sort.Slice(items, func(i, j int) bool { return items[i].SKU < items[j].SKU })
	return items
}

// checkRows compares each order in the database with the request that it answers.
func (a *auditor) checkRows() {
	prices := map[string]int64{}
	for _, o := range a.sale.Offers {
		prices[o.SKU] = o.Price
	}
	for _, row := range a.rows {
		r := a.byOrder[row.OrderID]
		if r == nil {
			a.say(Unresolved, "order %s of %s is in the database, and no answer ever told of it", row.OrderID, row.Buyer)
			continue
		}
		if r.buyer != row.Buyer {
			a.say(Differs, "order %s is %s's and was %s's", row.OrderID, row.Buyer, r.buyer)
		}
		var items []Item
		var total int64
		for _, l := range row.Lines {
			items = append(items, l.Item)
			total += l.Price * l.Quantity
			if l.Price != prices[l.SKU] {
				a.say(Differs, "order %s has %s for %d instead of %d", row.OrderID, l.SKU, l.Price, prices[l.SKU])
			}
		}
		if r.items != nil && !same(items, r.items) {
			a.say(Differs, "order %s has %v instead of %v", row.OrderID, items, r.items)
		}
		if total != row.Total {
			a.say(Money, "order %s has a total of %d, its lines %d", row.OrderID, row.Total, total)
		}
		switch row.State {
		case "PAID":
			if row.Paid != row.Total {
				a.say(Money, "order %s of %d was paid %d", row.OrderID, row.Total, row.Paid)
			}
		case "CANCELLED":
			if row.Paid != 0 {
				a.say(Money, "order %s is cancelled, and %d of its money was kept", row.OrderID, row.Paid)
			}
		default:
			a.say(Unresolved, "order %s is %s at the end", row.OrderID, row.State)
		}
	}
}

// rank of an order's states: none leads to one of a lower rank.
var rank = map[string]int{"ACCEPTED": 0, "PENDING_PAYMENT": 1, "PAID": 2, "CANCELLED": 3, "RELEASED": 3}

// checkStatus follows what was seen of each order.
func (a *auditor) checkStatus() {
	type seen struct {
		answered time.Time
		state    string
	}
	// The flash lane has its own states, and its RELEASED follows the database's CANCELLED.
	highest := map[string]map[bool][]seen{}
	for _, c := range a.calls {
		if c.OrderID == "" || c.Outcome == Unknown {
			continue
		}
		r := a.byOrder[c.OrderID]
		if c.Outcome == Refused {
			if c.Kind == Get && r != nil && c.Sent.After(r.answered) && c.Reason == "ORDER_NOT_FOUND" {
				a.say(Gap, "order %s was acknowledged at %s and not found later: %v", c.OrderID, r.answered.UTC().Format(clock), c)
			}
			continue
		}
		if c.State == "" {
			continue
		}
		lane := c.Kind == Place || c.Kind == Find
		if highest[c.OrderID] == nil {
			highest[c.OrderID] = map[bool][]seen{}
		}
		for _, s := range highest[c.OrderID][lane] {
			if s.answered.Before(c.Sent) && rank[s.state] > rank[c.State] {
				a.say(Backwards, "order %s was %s at %s: %v", c.OrderID, s.state, s.answered.UTC().Format(clock), c)
				break
			}
		}
		highest[c.OrderID][lane] = append(highest[c.OrderID][lane], seen{c.Answered, c.State})
	}
}
