package promotionevent

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// maxTold is how many items an event names; it says how many more there are.
const maxTold = 10

// action of an event about a change of the spec. Events of the same action and reason are taken as
// one that happened again, and its words are lost: the generation keeps them apart.
func (s *scope) action(name string) string { return fmt.Sprintf("%s-%d", name, s.promotion.Generation) }

// tell records what the pods were told that they were not told before: each lever of the sale has
// an event and a line in the log. The events do not wait for the status: it may have to be written
// again, and then the pods know the change already.
func (r *Reconciler) tell(s *scope, before, now *flashv1.Promotion) {
	if before == nil {
		return
	}
	for _, c := range changes(before, now) {
		r.Recorder.Eventf(s.promotion, nil, corev1.EventTypeNormal, c.reason, s.action("Change"), "%s", c.message)
		r.Log.Info("promotion changed", "namespace", s.promotion.Namespace, "promotionevent", s.promotion.Name, "change",
			c.reason, "what", c.message)
	}
}

type change struct{ reason, message string }

// changes of a sale, for people.
func changes(before, now *flashv1.Promotion) []change {
	var all []change
	add := func(reason, format string, args ...any) {
		all = append(all, change{reason, fmt.Sprintf(format, args...)})
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

func itemChanges(before, now *flashv1.Promotion) []change {
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
	var all []change
	for _, c := range []struct {
		reason, words string
		items         []string
	}{
		{"ItemsSwitchedOff", "no longer sold: ", off}, {"ItemsSwitchedOn", "sold again: ", on},
		{"LimitsChanged", "units a buyer may have, 0 for no limit: ", limits}, {"StockAdded", "taken from stock: ", added},
	} {
		if len(c.items) > 0 {
			all = append(all, change{c.reason, c.words + few(c.items)})
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
