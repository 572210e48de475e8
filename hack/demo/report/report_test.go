package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/hack/demo/plan"
)

// kept are the facts of a sale that kept every promise.
func kept() Facts {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return Facts{
		Plan:                    plan.Plan{Start: start, Items: []plan.Item{{SKU: "A", Stock: 10}, {SKU: "B", Stock: 5}}},
		ReadySecondsBeforeStart: 30,
		Result: plan.Result{
			Requests: 40, Accepted: 12, Paid: 12, PaidBy: map[string]int64{"sandbox": 12}, Rewarded: 12, Notified: 12, Sent: 3,
			Delivered: 3, Returned: 1, Refunded: 1, FirstAcceptedMillis: 7, FirstAcceptedAt: start.Add(5 * time.Millisecond),
			Refused: map[string]int64{"SOLD_OUT": 20}, Units: map[string]int64{"A": 10, "B": 3},
			SoldOut: map[string]int64{"A": 4},
		},
		Items:         []Item{{SKU: "A", Stock: 10, Sold: 10}, {SKU: "B", Stock: 5, Sold: 3, Left: 2}},
		Settled:       true,
		SettleSeconds: 2,
		StockBefore:   []plan.Stock{{SKU: "A", Available: 10, Deducted: 3}, {SKU: "B", Available: 9}},
		StockAfter:    []plan.Stock{{SKU: "A", Deducted: 13}, {SKU: "B", Available: 6, Reserved: 1, Deducted: 2}},
	}
}

func TestBroken(t *testing.T) {
	tests := map[string]struct {
		spoil func(*Facts)
		want  string
	}{
		"all kept":     {func(*Facts) {}, ""},
		"late":         {func(f *Facts) { f.ReadySecondsBeforeStart = -1 }, "not Ready before its start"},
		"nothing sold": {func(f *Facts) { f.Result.Accepted = 0 }, "no order was accepted"},
		"too early": {func(f *Facts) { f.Result.FirstAcceptedAt = f.Plan.Start.Add(-time.Second) },
			"before the start"},
		"oversold": {func(f *Facts) { f.Result.Units["A"] = 11 }, "1 units were sold that were not there"},
		"lost": {func(f *Facts) { f.Result.Missing = 2 },
			"2 acknowledged orders are not in the database"},
		"not paid":                 {func(f *Facts) { f.Result.Paid = 0 }, "0 of 12 orders were paid"},
		"no reward":                {func(f *Facts) { f.Result.Rewarded = 11 }, "11 of 12 paid orders were rewarded"},
		"told of too much":         {func(f *Facts) { f.Result.Notified = 13 }, "told of 13 of 12 payments"},
		"a parcel is lost":         {func(f *Facts) { f.Result.Delivered = 2 }, "2 of 3 parcels arrived"},
		"money is kept":            {func(f *Facts) { f.Result.Refunded = 0 }, "0 of 1 returns were refunded"},
		"given up":                 {func(f *Facts) { f.Result.DeadLetters = 1 }, "1 events became dead letters"},
		"not settled":              {func(f *Facts) { f.Settled = false }, "not settled in time"},
		"an item without a status": {func(f *Facts) { f.Items = f.Items[:1] }, "B is not in the promotion's status"},
		"a sum that is wrong":      {func(f *Facts) { f.Items[1].Left = 1 }, "sold 3 and left 1 are not the stock of 5"},
		"another count":            {func(f *Facts) { f.Result.Units["B"] = 2 }, "the status says 3 sold, buyers have 2"},
		"undersold":                {func(f *Facts) { f.Result.SoldOut["B"] = 1 }, "undersold, 2 are left though 1 buyers"},
		"stock that is not back":   {func(f *Facts) { f.StockAfter[1].Available = 4 }, "B: 4 available after the sale"},
		"what the buyers noticed": {func(f *Facts) { f.Result.Broken = []string{"two orders for one request"} },
			"two orders for one request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := kept()
			tt.spoil(&f)
			got := strings.Join(Broken(f), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("broken: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWrittenKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo", "report.json")
	if err := New(kept()).Write(file); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"readySecondsBeforeStart": 30.0, "firstAcceptedMillisAfterStart": 7.0, "requests": 40.0, "accepted": 12.0,
		"refused": map[string]any{"SOLD_OUT": 20.0},
		"items": []any{
			map[string]any{"sku": "A", "stock": 10.0, "sold": 10.0, "left": 0.0},
			map[string]any{"sku": "B", "stock": 5.0, "sold": 3.0, "left": 2.0},
		},
		"oversold": 0.0, "acknowledgedMissing": 0.0, "ordersPaid": 12.0, "paidBy": map[string]any{"sandbox": 12.0},
		"settleSeconds": 2.0,
		"rewarded":      12.0, "notified": 12.0, "sent": 3.0, "delivered": 3.0, "returned": 1.0, "refunded": 1.0,
		"deadLetters": 0.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report.json (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := New(kept()).Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ready before the start", "30.0 s", "refused SOLD_OUT", "stock 5, sold 3, left 2",
		"orders paid"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}
