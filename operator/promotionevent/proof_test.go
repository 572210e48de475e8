package promotionevent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/stock"
)

func TestProve(t *testing.T) {
	phone := provision.Total{SKU: "phone", Allocated: 100, Sold: 60, Unsold: 40}
	tests := map[string]struct {
		allocated, sold []stock.Quantity
		topUps          []stock.TopUp
		totals          []provision.Total
		want            *violation
	}{
		"all adds up": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 60}},
			totals: []provision.Total{phone},
		},
		"nothing sold": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}},
			totals:    []provision.Total{{SKU: "phone", Allocated: 100, Unsold: 100}},
		},
		"topped up": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 110}},
			topUps: []stock.TopUp{{Number: 1, SKU: "phone", Quantity: 15}, {Number: 2, SKU: "phone", Quantity: 5}},
			totals: []provision.Total{{SKU: "phone", Allocated: 100, ToppedUp: 20, Sold: 110, Unsold: 10}},
		},
		"a top-up that did not come to the log": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 60}},
			topUps: []stock.TopUp{{Number: 1, SKU: "phone", Quantity: 15}},
			totals: []provision.Total{phone},
			want:   &violation{v1alpha1.ReasonLogMismatch, "phone: 15 topped up in the database, 0 in the log"},
		},
		"a unit lost in the log": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 60}},
			totals: []provision.Total{{SKU: "phone", Allocated: 100, Sold: 60, Unsold: 39}},
			want:   &violation{v1alpha1.ReasonLogMismatch, "phone: allocated 100 + topped up 0 is not sold 60 + unsold 39"},
		},
		"opened with other stock than was allocated": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 90}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 60}},
			totals: []provision.Total{phone},
			want:   &violation{v1alpha1.ReasonLogMismatch, "phone: 90 allocated in the database, 100 in the log"},
		},
		"an item that the log does not have": {
			allocated: []stock.Quantity{{SKU: "case", Quantity: 5}, {SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 60}},
			totals: []provision.Total{phone},
			want:   &violation{v1alpha1.ReasonLogMismatch, "case: 5 allocated in the database, 0 in the log"},
		},
		"an order that is not in the database": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "phone", Quantity: 59}},
			totals: []provision.Total{phone},
			want:   &violation{v1alpha1.ReasonDatabaseMismatch, "phone: sold 60 in the log, 59 in the database"},
		},
		"an order of something else": {
			allocated: []stock.Quantity{{SKU: "phone", Quantity: 100}}, sold: []stock.Quantity{{SKU: "case", Quantity: 1}, {SKU: "phone", Quantity: 60}},
			totals: []provision.Total{phone},
			want:   &violation{v1alpha1.ReasonDatabaseMismatch, "case: sold 0 in the log, 1 in the database"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := prove(tt.allocated, tt.topUps, tt.sold, tt.totals)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(violation{})); diff != "" {
				t.Errorf("prove() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProveReturned(t *testing.T) {
	totals := []provision.Total{{SKU: "phone", Allocated: 100, Sold: 60, Unsold: 40}}
	if got := proveReturned([]stock.Quantity{{SKU: "phone", Quantity: 40}}, totals); got != nil {
		t.Errorf("proveReturned() = %v, want nil", got)
	}
	want := &violation{v1alpha1.ReasonDatabaseMismatch, "phone: unsold 40, returned 0"}
	if diff := cmp.Diff(want, proveReturned(nil, totals), cmp.AllowUnexported(violation{})); diff != "" {
		t.Errorf("proveReturned() (-want +got):\n%s", diff)
	}
}
