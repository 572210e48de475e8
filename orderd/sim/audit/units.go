package audit

import (
	"sort"
	"time"
)

// hold is for how long an order had its units for certain, and for how long it may have had them.
type hold struct {
	order, buyer string
	items        []Item
	// Certainly from from to until, possibly from earliest to latest; a zero end is none.
	from, until, earliest, latest time.Time
}

// holds of all orders in the database. A release needs a cancellation or the payment timeout first;
// that it is done is known only when an answer has the state RELEASED.
func (a *auditor) holds() []hold {
	mayEnd, ended := map[string]time.Time{}, map[string]time.Time{}
	for _, c := range a.calls {
		if c.Kind == Cancel && (mayEnd[c.OrderID].IsZero() || c.Sent.Before(mayEnd[c.OrderID])) {
			mayEnd[c.OrderID] = c.Sent
		}
		if c.State == "RELEASED" && ended[c.OrderID].IsZero() {
			ended[c.OrderID] = c.Answered
		}
	}
	var all []hold
	for _, row := range a.rows {
		r := a.byOrder[row.OrderID]
		if r == nil {
			continue
		}
		h := hold{order: row.OrderID, buyer: row.Buyer, from: r.answered, earliest: r.sent, latest: ended[row.OrderID]}
		for _, l := range row.Lines {
			h.items = append(h.items, l.Item)
		}
		// It cannot have been accepted before it was first sent.
		h.until = r.sent.Add(a.sale.PaymentTimeout)
		if at := mayEnd[row.OrderID]; !at.IsZero() && at.Before(h.until) {
			h.until = at
		}
		if a.paidInTime(row) {
			h.until = time.Time{}
		}
		all = append(all, h)
	}
	return all
}

// paidInTime says whether an order was paid for certain before it could expire. Money that comes
// later makes it paid as well, with units from the shop's stock: its own went back into the sale.
func (a *auditor) paidInTime(row Row) bool {
	r := a.byOrder[row.OrderID]
	if row.State != "PAID" || r == nil {
		return false
	}
	for _, c := range a.calls {
		if c.Kind == Pay && c.OrderID == row.OrderID && c.Outcome == Accepted &&
			c.Answered.Before(r.sent.Add(a.sale.PaymentTimeout)) {
			return true
		}
	}
	return false
}

// change of a number of units at a moment.
type change struct {
	at    time.Time
	units int64
}

// certain is how many units of a SKU were held for certain, of one buyer or (empty) all, as changes
// in their order.
func certain(holds []hold, sku, buyer string) []change {
	var all []change
	for _, h := range holds {
		if buyer != "" && h.buyer != buyer || !h.until.IsZero() && !h.until.After(h.from) {
			continue
		}
		for _, i := range h.items {
			if i.SKU != sku {
				continue
			}
			all = append(all, change{h.from, i.Quantity})
			if !h.until.IsZero() {
				all = append(all, change{h.until, -i.Quantity})
			}
		}
	}
	return inOrder(all)
}

// inOrder sorts changes; of those at one moment the ends come first.
func inOrder(all []change) []change {
	sort.Slice(all, func(i, j int) bool {
		if all[i].at.Equal(all[j].at) {
			return all[i].units < all[j].units
		}
		return all[i].at.Before(all[j].at)
	})
	return all
}

// checkLimits looks for a buyer who had more than the limit at any moment.
func (a *auditor) checkLimits() {
	holds := a.holds()
	buyers := map[string]bool{}
	for _, h := range holds {
		buyers[h.buyer] = true
	}
	for _, o := range a.sale.Offers {
		if o.Limit == 0 {
			continue
		}
		for buyer := range buyers {
			var had int64
			for _, c := range certain(holds, o.SKU, buyer) {
				if had += c.units; had > o.Limit {
					a.say(OverLimit, "%s had %d of %s at %s, and may have %d", buyer, had, o.SKU, c.at.UTC().Format(clock), o.Limit)
					break
				}
			}
		}
	}
}

// stockAt is the most that the sale can have had of an item at a moment.
func (a *auditor) stockAt(o Offer, at time.Time) int64 {
	n := o.Stock
	for _, t := range a.sale.TopUps {
		if t.SKU == o.SKU && !t.At.After(at) {
			n += t.Quantity
		}
	}
	return n
}

// checkUnits looks for a moment at which more was sold than there was.
func (a *auditor) checkUnits() {
	holds := a.holds()
	for _, o := range a.sale.Offers {
		var had int64
		for _, c := range certain(holds, o.SKU, "") {
			if had += c.units; had > a.stockAt(o, c.at) {
				a.say(Oversold, "%d of %s were sold at %s, of %d", had, o.SKU, c.at.UTC().Format(clock), a.stockAt(o, c.at))
				break
			}
		}
	}
}

// checkSoldOut looks for refusals at a time at which there was stock for certain: from soldOutAge
// before the request to the answer.
func (a *auditor) checkSoldOut() {
	offers := map[string]Offer{}
	possible := map[string][]change{}
	holds := a.holds()
	for _, o := range a.sale.Offers {
		offers[o.SKU] = o
		var all []change
		for _, h := range holds {
			for _, i := range h.items {
				if i.SKU == o.SKU {
					all = append(all, change{h.earliest, i.Quantity})
					if !h.latest.IsZero() {
						all = append(all, change{h.latest, -i.Quantity})
					}
				}
			}
		}
		possible[o.SKU] = inOrder(all)
	}
	for _, c := range a.calls {
		if c.Kind != Place || c.Outcome != Refused || c.Reason != "SOLD_OUT" {
			continue
		}
		o, ok := offers[c.SKU]
		if !ok {
			a.say(FalseSoldOut, "the refusal names no item of the sale: %v", c)
			continue
		}
		var wanted int64
		for _, i := range c.Items {
			if i.SKU == c.SKU {
				wanted = i.Quantity
			}
		}
		// Top-ups reach the shards at a time that nobody outside knows, and count as if they came
		// later.
		if most := highest(possible[c.SKU], c.Sent.Add(-soldOutAge), c.Answered); o.Stock-most >= wanted {
			a.say(FalseSoldOut, "at most %d of %d can have been sold: %v", most, o.Stock, c)
		}
	}
}

// highest sum of changes from one moment to another.
func highest(changes []change, from, to time.Time) int64 {
	var sum, most int64
	inside := false
	for _, c := range changes {
		if c.at.After(to) {
			break
		}
		if !inside && c.at.After(from) {
			inside, most = true, sum
		}
		sum += c.units
		if inside {
			most = max(most, sum)
		}
	}
	if !inside {
		return sum
	}
	return most
}

// checkResults proves the settlement, and what the shop has in stock afterwards.
func (a *auditor) checkResults() {
	results := map[string]Result{}
	for _, r := range a.finals.Results {
		results[r.SKU] = r
	}
	paid, kept, certain := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, row := range a.rows {
		inTime := a.paidInTime(row)
		for _, l := range row.Lines {
			if row.State == "PAID" {
				paid[l.SKU] += l.Quantity
			}
			if row.State != "CANCELLED" {
				kept[l.SKU] += l.Quantity
			}
			if inTime {
				certain[l.SKU] += l.Quantity
			}
		}
	}
	for _, o := range a.sale.Offers {
		r, ok := results[o.SKU]
		if !ok {
			a.say(Invariant, "%s was not settled", o.SKU)
			continue
		}
		had := a.stockAt(o, a.sale.End.Add(time.Hour))
		if !r.Balanced() || r.Allocated+r.ToppedUp != had {
			a.say(Invariant, "%s: %d allocated (of %d with top-ups), %d topped up, %d sold, %d returned", o.SKU, r.Allocated,
				had, r.ToppedUp, r.Sold, r.Returned)
		}
		if certain[o.SKU] > had || r.Sold > had {
			a.say(Oversold, "%s: %d paid for at the end, the settlement says %d sold, of %d", o.SKU, certain[o.SKU], r.Sold, had)
		}
		if r.Available != o.Before-kept[o.SKU] || r.Deducted != paid[o.SKU] || r.Reserved != kept[o.SKU]-paid[o.SKU] {
			a.say(Stock, "%s: %d available, %d reserved, %d deducted, of %d with %d sold and %d paid", o.SKU, r.Available,
				r.Reserved, r.Deducted, o.Before, kept[o.SKU], paid[o.SKU])
		}
		a.checkUndersold(o, r)
	}
}

// checkUndersold compares what was left with the last buyers who were refused it: only what came
// back, or was added, since the time of which the refusal spoke can be left.
func (a *auditor) checkUndersold(o Offer, r Result) {
	for _, c := range a.calls {
		if c.Kind != Place || c.Outcome != Refused || c.Reason != "SOLD_OUT" || c.SKU != o.SKU ||
			c.Sent.Add(-soldOutAge).Before(a.sale.Start) {
			continue
		}
		since := c.Sent.Add(-soldOutAge)
		var back, wanted int64
		for _, i := range c.Items {
			if i.SKU == o.SKU {
				wanted = i.Quantity
			}
		}
		for _, row := range a.rows {
			// A release may come any time after its cancellation.
			if a.paidInTime(row) || a.releasedBy(row.OrderID, since) {
				continue
			}
			for _, l := range row.Lines {
				if l.SKU == o.SKU {
					back += l.Quantity
				}
			}
		}
		for _, t := range a.sale.TopUps {
			if t.SKU == o.SKU {
				back += t.Quantity
			}
		}
		if r.Returned-back >= wanted {
			a.say(Undersold, "%d of %s were left, at most %d came back: %v", r.Returned, o.SKU, back, c)
			return
		}
	}
}

// releasedBy says whether an answer told of the order's release by then.
func (a *auditor) releasedBy(order string, at time.Time) bool {
	for _, c := range a.calls {
		if c.OrderID == order && c.State == "RELEASED" && c.Answered.Before(at) {
			return true
		}
	}
	return false
}
