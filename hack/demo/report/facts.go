package report

import (
	"fmt"

	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
)

// Facts are what was seen of one sale, from both sides.
type Facts struct {
	Plan plan.Plan
	// ReadySecondsBeforeStart is negative if the promotion was not Ready in time.
	ReadySecondsBeforeStart float64
	// Result is what the buyers saw.
	Result plan.Result
	// Items is what the PromotionEvent's status says.
	Items []Item
	// Settled says that the promotion was settled in time, SettleSeconds after its end.
	Settled       bool
	SettleSeconds float64
	// StockBefore the promotion and StockAfter it, of each SKU.
	StockBefore, StockAfter []plan.Stock
}

// New makes the report.
func New(f Facts) Report {
	r := Report{
		ReadySecondsBeforeStart:       f.ReadySecondsBeforeStart,
		FirstAcceptedMillisAfterStart: f.Result.FirstAcceptedMillis,
		Requests:                      f.Result.Requests,
		Accepted:                      f.Result.Accepted,
		Refused:                       f.Result.Refused,
		Items:                         f.Items,
		AcknowledgedMissing:           f.Result.Missing,
		OrdersPaid:                    f.Result.Paid,
		PaidBy:                        f.Result.PaidBy,
		Rewarded:                      f.Result.Rewarded,
		Notified:                      f.Result.Notified,
		Sent:                          f.Result.Sent,
		Delivered:                     f.Result.Delivered,
		Returned:                      f.Result.Returned,
		Refunded:                      f.Result.Refunded,
		DeadLetters:                   f.Result.DeadLetters,
		SettleSeconds:                 f.SettleSeconds,
	}
	for _, it := range f.Plan.Items {
		// Whoever counts more, the log or the buyers, is believed.
		sold := f.Result.Units[it.SKU]
		if i := f.item(it.SKU); i != nil {
			sold = max(sold, i.Sold)
		}
		r.Oversold += max(0, sold-it.Stock)
	}
	return r
}

func (f Facts) item(sku string) *Item {
	for i := range f.Items {
		if f.Items[i].SKU == sku {
			return &f.Items[i]
		}
	}
	return nil
}

// Broken says which promises the sale broke; empty if none.
func Broken(f Facts) []string {
	broken := append([]string{}, f.Result.Broken...)
	check := func(ok bool, format string, args ...any) {
		if !ok {
			broken = append(broken, fmt.Sprintf(format, args...))
		}
	}
	r := New(f)
	check(f.ReadySecondsBeforeStart > 0, "the promotion was not Ready before its start")
	check(r.Accepted > 0, "no order was accepted")
	check(r.Accepted == 0 || !f.Result.FirstAcceptedAt.Before(f.Plan.Start),
		"the first order was accepted before the start")
	check(r.Oversold == 0, "%d units were sold that were not there", r.Oversold)
	check(r.AcknowledgedMissing == 0, "%d acknowledged orders are not in the database", r.AcknowledgedMissing)
	check(r.OrdersPaid == r.Accepted, "%d of %d orders were paid", r.OrdersPaid, r.Accepted)
	check(r.Rewarded == r.OrdersPaid, "%d of %d paid orders were rewarded", r.Rewarded, r.OrdersPaid)
	check(r.Notified == r.OrdersPaid, "devices were told of %d of %d payments", r.Notified, r.OrdersPaid)
	check(r.Delivered == r.Sent, "%d of %d parcels arrived", r.Delivered, r.Sent)
	check(r.Refunded == r.Returned, "%d of %d returns were refunded", r.Refunded, r.Returned)
	check(r.DeadLetters == 0, "%d events became dead letters", r.DeadLetters)
	check(f.Settled, "the promotion was not settled in time")
	for _, it := range f.Plan.Items {
		got := f.item(it.SKU)
		if got == nil {
			check(false, "%s is not in the promotion's status", it.SKU)
			continue
		}
		check(got.Stock == it.Stock, "%s: stock is %d, want %d", it.SKU, got.Stock, it.Stock)
		stock := audit.Result{SKU: it.SKU, Allocated: got.Stock, Sold: got.Sold, Returned: got.Left}
		check(stock.Balanced(), "%s: sold %d and left %d are not the stock of %d", it.SKU, got.Sold, got.Left, got.Stock)
		check(got.Sold == f.Result.Units[it.SKU], "%s: the status says %d sold, buyers have %d", it.SKU, got.Sold,
			f.Result.Units[it.SKU])
		check(got.Left == 0 || f.Result.SoldOut[it.SKU] == 0,
			"%s: undersold, %d are left though %d buyers were told it is sold out", it.SKU, got.Left, f.Result.SoldOut[it.SKU])
	}
	return append(broken, f.stockBroken()...)
}

// stockBroken compares each SKU's stock before and after: what was sold is gone, the rest is back.
func (f Facts) stockBroken() []string {
	after := map[string]plan.Stock{}
	for _, s := range f.StockAfter {
		after[s.SKU] = s
	}
	var broken []string
	for _, before := range f.StockBefore {
		got, sold := after[before.SKU], f.Result.Units[before.SKU]
		if got.Available != before.Available-sold {
			broken = append(broken, fmt.Sprintf("%s: %d available after the sale, want %d of before less %d sold", before.SKU,
				got.Available, before.Available, sold))
		}
		want := before.Available + before.Reserved + before.Deducted
		if total := got.Available + got.Reserved + got.Deducted; total != want {
			broken = append(broken, fmt.Sprintf("%s: available, reserved and deducted make %d, want %d", before.SKU, total,
				want))
		}
	}
	return broken
}
