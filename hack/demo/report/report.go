// Package report is the demo's outcome: the figures, the promises they prove and the table.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// Item is one item's outcome, from the PromotionEvent's status.
type Item struct {
	SKU   string `json:"sku"`
	Stock int64  `json:"stock"`
	Sold  int64  `json:"sold"`
	Left  int64  `json:"left"`
}

// Report has the figures of one sale.
type Report struct {
	// ReadySecondsBeforeStart is how long before the start the promotion was Ready.
	ReadySecondsBeforeStart float64 `json:"readySecondsBeforeStart"`
	// FirstAcceptedMillisAfterStart is when the first buyer had an order's id.
	FirstAcceptedMillisAfterStart int64 `json:"firstAcceptedMillisAfterStart"`
	// Requests sent by buyers, retries among them.
	Requests int64 `json:"requests"`
	// Accepted orders.
	Accepted int64 `json:"accepted"`
	// Refused answers by reason.
	Refused map[string]int64 `json:"refused"`
	Items   []Item           `json:"items"`
	// Oversold units, over all items.
	Oversold int64 `json:"oversold"`
	// AcknowledgedMissing orders were acknowledged and are not in the database as acknowledged.
	AcknowledgedMissing int64 `json:"acknowledgedMissing"`
	OrdersPaid          int64 `json:"ordersPaid"`
	// PaidBy is the paid orders by payment provider.
	PaidBy map[string]int64 `json:"paidBy"`
	// What followed the payments: coupons granted, devices told, parcels delivered of those sent,
	// money back of goods returned, and events that no consumer could handle.
	Rewarded    int64 `json:"rewarded"`
	Notified    int64 `json:"notified"`
	Sent        int64 `json:"sent"`
	Delivered   int64 `json:"delivered"`
	Returned    int64 `json:"returned"`
	Refunded    int64 `json:"refunded"`
	DeadLetters int64 `json:"deadLetters"`
	// SettleSeconds is from the promotion's end until it was settled.
	SettleSeconds float64 `json:"settleSeconds"`
}

// Write stores the report as JSON.
func (r Report) Write(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil { //nolint:gosec // Not a secret.
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Print writes the table.
func (r Report) Print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("ready before the start", "%.1f s", r.ReadySecondsBeforeStart)
	row("first accepted order after the start", "%d ms", r.FirstAcceptedMillisAfterStart)
	row("requests", "%d", r.Requests)
	row("accepted", "%d", r.Accepted)
	for _, reason := range r.reasons() {
		row("refused "+reason, "%d", r.Refused[reason])
	}
	for _, it := range r.Items {
		row("item "+it.SKU, "stock %d, sold %d, left %d", it.Stock, it.Sold, it.Left)
	}
	row("oversold", "%d", r.Oversold)
	row("acknowledged orders missing", "%d", r.AcknowledgedMissing)
	row("orders paid", "%d", r.OrdersPaid)
	for _, provider := range slices.Sorted(maps.Keys(r.PaidBy)) {
		row("paid at "+provider, "%d", r.PaidBy[provider])
	}
	row("orders rewarded with a coupon", "%d", r.Rewarded)
	row("payments that devices were told of", "%d", r.Notified)
	row("parcels delivered", "%d of %d", r.Delivered, r.Sent)
	row("returns refunded", "%d of %d", r.Refunded, r.Returned)
	row("dead letters", "%d", r.DeadLetters)
	row("settled after the end", "%.1f s", r.SettleSeconds)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

// reasons of refusals, the most frequent first.
func (r Report) reasons() []string {
	reasons := make([]string, 0, len(r.Refused))
	for reason := range r.Refused {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if r.Refused[a] != r.Refused[b] {
			return int(r.Refused[b] - r.Refused[a])
		}
		return strings.Compare(a, b)
	})
	return reasons
}
