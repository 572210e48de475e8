package desk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
)

// query is a filter as SQL: rows come from one index range for each of branches, in the order of time, and are those
// that are asked for if rest holds. Conditions name arguments by their place, from $1.
type query struct {
	// join is put behind desk_orders AS d; time and id are what the index is ordered by.
	join, time, id string
	// branches are conditions of which each is one range of an index; always at least one.
	branches []string
	// within bounds the time of all branches.
	within []string
	rest   []string
	args   []any
}

func (q *query) arg(value any) string {
	q.args = append(q.args, value)
	return fmt.Sprintf("$%d", len(q.args))
}

// condition is one thing that a filter says.
type condition struct {
	// values of which any is enough.
	column string
	values []string
	// kind is that of a term instead of a column.
	kind string
	// says is the condition itself, of what has no values.
	says string
	// needs is the condition of a partial index, which the planner does not see behind an argument.
	needs string
	// common is what most orders are: no index has those alone.
	common bool
}

// never tells whether no order is so: nothing of what was asked for can be compared, such as the digits of a phone
// number that has none.
func (c condition) never() bool { return c.says == "" && c.values[0] == "" }

// newQuery chooses the index: of all that the filter says, what finds the fewest orders as a rule; see ListOrders in
// the proto, which has the same sequence.
func newQuery(f *deskv1.OrderFilter, now time.Time) *query {
	q := &query{time: placedAt, id: "d.order_id"}
	conditions := conditionsOf(f)
	if slices.ContainsFunc(conditions, condition.never) {
		q.branches = []string{"false"}
	} else {
		for _, c := range q.drive(conditions, bounded(f.GetPaid())) {
			q.rest = append(q.rest, q.compare(c))
		}
	}
	if q.time == paidAt {
		q.bound(f.GetPaid(), &q.within, paidAt)
		q.bound(f.GetPlaced(), &q.rest, placedAt)
	} else {
		q.bound(f.GetPlaced(), &q.within, q.time)
		q.bound(f.GetPaid(), &q.rest, paidAt)
	}
	if s := f.GetUnpaidSeconds(); s > 0 {
		q.within = append(q.within, q.time+" <= "+q.arg(now.Add(-time.Duration(s)*time.Second)))
	}
	if m := f.GetMethod(); m != "" {
		q.rest = append(q.rest, "d.method = "+q.arg(m))
	}
	if t := f.GetTotal(); t != nil {
		q.rest = append(q.rest, "d.currency = "+q.arg(t.GetCurrency()), "d.total >= "+q.arg(t.GetLeast()))
		if t.GetMost() > 0 {
			q.rest = append(q.rest, "d.total <= "+q.arg(t.GetMost()))
		}
	}
	if f.GetHasNote() == deskv1.Choice_CHOICE_NO {
		q.rest = append(q.rest, "NOT d.has_note")
	}
	return q
}

// The columns that lists can be in the order of.
const (
	placedAt = "d.created_at"
	paidAt   = "d.paid_at"
)

// What is true of every row that is not just being made: the conditions of the index of all orders, and of others. They
// differ, so that the planner has no choice: it would walk through years of orders for a state that it takes to be as
// frequent in all of them.
const (
	isNumbered = "number <> ''"
	isMade     = "made > 0"
)

// conditionsOf a filter that an index could serve, the best first.
func conditionsOf(f *deskv1.OrderFilter) []condition {
	var all []condition
	add := func(c condition, values ...string) {
		if c.values = values; len(values) > 0 && values[0] != "" {
			all = append(all, c)
		}
	}
	keyed := func(column, given, key string) {
		if given != "" {
			all = append(all, condition{column: column, needs: column + " <> ''", values: []string{key}})
		}
	}
	add(condition{column: "buyer_id", needs: isMade}, f.GetBuyerId())
	keyed("phone", f.GetPhone(), phoneKey(f.GetPhone()))
	add(condition{kind: kindTransaction}, f.GetTransactionId())
	if number := f.GetTrackingNumber(); number != "" {
		all = append(all, condition{kind: kindTracking, values: []string{trackingKey(number)}})
	}
	add(condition{kind: kindCoupon}, strings.ToLower(f.GetCouponId()))
	keyed("recipient", f.GetRecipient(), nameKey(f.GetRecipient()))
	if key := f.GetAttributeKey(); key != "" {
		term := attributeTerm(key, f.GetAttributeValue())
		if strings.Contains(key, "=") {
			// No order has such a key, but one may have a term that looks the same.
			term = ""
		}
		all = append(all, condition{kind: kindAttribute, values: []string{term}})
	}
	for _, tag := range f.GetTags() {
		add(condition{kind: kindTag}, tag)
	}
	add(condition{kind: kindSKU}, f.GetSku())
	add(condition{column: "promotion", needs: "promotion <> ''"}, f.GetPromotion())
	add(condition{column: "return_state", needs: "return_state <> ''"}, names(f.GetReturnStates(), "RETURN_STATE_")...)
	refunds := names(f.GetRefundStatuses(), "REFUND_STATUS_")
	none := slices.Contains(refunds, "NONE")
	if !none {
		add(condition{column: "refund", needs: "refund <> 'NONE'"}, refunds...)
	}
	if f.GetUnpaidSeconds() > 0 {
		add(condition{column: "state", needs: isMade}, "PENDING_PAYMENT")
	}
	if f.GetHasNote() == deskv1.Choice_CHOICE_YES {
		all = append(all, condition{says: "d.has_note"})
	}
	add(condition{column: "fulfilment", needs: isMade}, names(f.GetFulfilmentStatuses(), "FULFILMENT_STATUS_")...)
	add(condition{column: "provider", needs: "provider <> ''"}, f.GetProvider())
	add(condition{column: "channel", needs: "channel <> ''"}, f.GetChannel())
	add(condition{column: "state", needs: isMade}, names(f.GetStates(), "ORDER_STATE_")...)
	if none {
		add(condition{column: "refund", common: true}, refunds...)
	}
	return all
}

func names[E fmt.Stringer](values []E, prefix string) []string {
	var out []string
	for _, v := range values {
		out = append(out, strings.TrimPrefix(v.String(), prefix))
	}
	return out
}

// drive has the rows found by the first condition's index, or by that of all orders, paid ones if the filter bounds the
// time of paying, and returns the conditions that are not served by it.
func (q *query) drive(conditions []condition, paid bool) (others []condition) {
	if len(conditions) == 0 || conditions[0].common {
		if paid {
			q.time = paidAt
			q.branches = []string{"d.paid_at IS NOT NULL"}
			return conditions
		}
		q.branches = []string{"d." + isNumbered}
		return conditions
	}
	c, others := conditions[0], conditions[1:]
	if c.kind != "" {
		q.join, q.time, q.id = " JOIN desk_terms AS t ON t.order_id = d.order_id", "t.created_at", "t.order_id"
		q.branches = []string{"t.kind = " + q.arg(c.kind) + " AND t.term = " + q.arg(c.values[0])}
		return others
	}
	if c.says != "" {
		q.branches = []string{c.says}
		return others
	}
	for _, v := range c.values {
		branch := "d." + c.column + " = " + q.arg(v)
		if c.needs != "" {
			branch += " AND d." + c.needs
		}
		q.branches = append(q.branches, branch)
	}
	// State and fulfilment have an index together: what is to be shipped is a small part of both.
	state := slices.IndexFunc(others, func(o condition) bool { return o.column == "state" })
	if c.column == "fulfilment" && state >= 0 {
		q.branches = q.product(q.branches, others[state])
		return slices.Delete(others, state, state+1)
	}
	return others
}

// product has each branch once with each value of the condition.
func (q *query) product(branches []string, c condition) []string {
	var out []string
	for _, v := range c.values {
		value := q.arg(v)
		for _, b := range branches {
			out = append(out, b+" AND d."+c.column+" = "+value)
		}
	}
	return out
}

// compare is a condition on rows that another one found.
func (q *query) compare(c condition) string {
	if c.says != "" {
		return c.says
	}
	if c.kind != "" {
		return "EXISTS (SELECT 1 FROM desk_terms AS x WHERE x.order_id = d.order_id AND x.kind = " + q.arg(c.kind) +
			" AND x.term = " + q.arg(c.values[0]) + ")"
	}
	return "d." + c.column + " = ANY (" + q.arg(c.values) + ")"
}

func bounded(r *deskv1.TimeRange) bool { return r.GetSince() != nil || r.GetUntil() != nil }

func (q *query) bound(r *deskv1.TimeRange, into *[]string, column string) {
	add := func(at *timestamppb.Timestamp, operator string) {
		if at != nil {
			*into = append(*into, column+operator+q.arg(at.AsTime()))
		}
	}
	add(r.GetSince(), " >= ")
	add(r.GetUntil(), " < ")
}
