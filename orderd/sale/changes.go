package sale

import (
	"fmt"
	"strings"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// maxTold is how many items a change names; it says how many more there are.
const maxTold = 10

// Change is what the pods were told of a promotion that they were not told before.
type Change struct {
	// Reason is a word for programs, such as SalePaused.
	Reason string
	// Message is for people.
	Message string
}

// Changes of a sale, each with its own reason; none if nothing was told before.
func Changes(before, now *flashv1.Promotion) []Change {
	if before == nil {
		return nil
	}
	var all []Change
	add := func(reason, format string, args ...any) {
		all = append(all, Change{reason, fmt.Sprintf(format, args...)})
	}
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	switch {
	case now.GetPaused() && !before.GetPaused():
		add("SalePaused", "new orders are refused")
	case !now.GetPaused() && before.GetPaused():
		add("SaleResumed", "new orders are taken again")
	}
	if now.GetStartUnixMs() != before.GetStartUnixMs() {
		add("StartMoved", "the sale starts at %s, not at %s", at(now.GetStartUnixMs()), at(before.GetStartUnixMs()))
	}
	switch {
	case now.GetEndUnixMs() > before.GetEndUnixMs():
		add("SaleExtended", "the sale ends at %s, not at %s", at(now.GetEndUnixMs()), at(before.GetEndUnixMs()))
	case now.GetEndUnixMs() < before.GetEndUnixMs():
		add("SaleShortened", "the sale ends at %s, not at %s", at(now.GetEndUnixMs()), at(before.GetEndUnixMs()))
	}
	if now.GetPaymentTimeoutMs() != before.GetPaymentTimeoutMs() {
		add("PaymentTimeoutChanged", "new orders have to be paid in %s",
			time.Duration(now.GetPaymentTimeoutMs())*time.Millisecond)
	}
	switch {
	case now.GetAdmissionRequired() && !before.GetAdmissionRequired():
		add("AdmissionRequired", "orders need admission tokens, which are given out until %s",
			at(now.GetAdmissionEndUnixMs()))
	case !now.GetAdmissionRequired() && before.GetAdmissionRequired():
		add("AdmissionNotRequired", "orders need no admission tokens any more")
	case now.GetAdmissionRequired() && now.GetAdmissionEndUnixMs() != before.GetAdmissionEndUnixMs():
		add("AdmissionEndMoved", "admission tokens are given out until %s, not until %s", at(now.GetAdmissionEndUnixMs()),
			at(before.GetAdmissionEndUnixMs()))
	}
	return append(all, itemChanges(before, now)...)
}

func itemChanges(before, now *flashv1.Promotion) []Change {
	items := make(map[string]*flashv1.PromotedItem, len(before.GetItems()))
	for _, item := range before.GetItems() {
		items[item.GetSku()] = item
	}
	had := make(map[string]bool, len(before.GetTopUps()))
	for _, t := range before.GetTopUps() {
		had[t.GetId()] = true
	}
	var off, on, limits, added []string
	for _, item := range now.GetItems() {
		was := items[item.GetSku()]
		switch {
		case item.GetOff() && !was.GetOff():
			off = append(off, item.GetSku())
		case !item.GetOff() && was.GetOff():
			on = append(on, item.GetSku())
		}
		if item.GetLimitPerBuyer() != was.GetLimitPerBuyer() {
			limits = append(limits,
				fmt.Sprintf("%s %d (before: %d)", item.GetSku(), item.GetLimitPerBuyer(), was.GetLimitPerBuyer()))
		}
	}
	for _, t := range now.GetTopUps() {
		if !had[t.GetId()] {
			added = append(added, fmt.Sprintf("%d of %s", t.GetQuantity(), t.GetSku()))
		}
	}
	var all []Change
	for _, c := range []struct {
		reason, words string
		items         []string
	}{
		{"ItemsSwitchedOff", "no longer sold: ", off}, {"ItemsSwitchedOn", "sold again: ", on},
		{"LimitsChanged", "units a buyer may have, 0 for no limit: ", limits}, {"StockAdded", "taken from stock: ", added},
	} {
		if len(c.items) > 0 {
			all = append(all, Change{c.reason, c.words + few(c.items)})
		}
	}
	return all
}

// few lists the first of many.
func few(list []string) string {
	if len(list) <= maxTold {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxTold], ", "), len(list)-maxTold)
}
