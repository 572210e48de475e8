package sale

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProve(t *testing.T) {
	phone := Total{SKU: "phone", Allocated: 100, Sold: 60, Unsold: 40}
	tests := map[string]struct {
		allocated, sold []Quantity
		topUps          []TopUp
		totals          []Total
		want            *ViolationError
	}{
		"all adds up": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}}, sold: []Quantity{{SKU: "phone", Quantity: 60}},
			totals: []Total{phone},
		},
		"nothing sold": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}},
			totals:    []Total{{SKU: "phone", Allocated: 100, Unsold: 100}},
		},
		"topped up": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}}, sold: []Quantity{{SKU: "phone", Quantity: 110}},
			topUps: []TopUp{{Number: 1, SKU: "phone", Quantity: 15}, {Number: 2, SKU: "phone", Quantity: 5}},
			totals: []Total{{SKU: "phone", Allocated: 100, ToppedUp: 20, Sold: 110, Unsold: 10}},
		},
		"a top-up that did not come to the log": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}}, sold: []Quantity{{SKU: "phone", Quantity: 60}},
			topUps: []TopUp{{Number: 1, SKU: "phone", Quantity: 15}},
			totals: []Total{phone},
			want:   &ViolationError{LogMismatch, "phone: 15 topped up in the database, 0 in the log"},
		},
		"a unit lost in the log": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}}, sold: []Quantity{{SKU: "phone", Quantity: 60}},
			totals: []Total{{SKU: "phone", Allocated: 100, Sold: 60, Unsold: 39}},
			want:   &ViolationError{LogMismatch, "phone: allocated 100 + topped up 0 is not sold 60 + unsold 39"},
		},
		"opened with other stock than was allocated": {
			allocated: []Quantity{{SKU: "phone", Quantity: 90}}, sold: []Quantity{{SKU: "phone", Quantity: 60}},
			totals: []Total{phone},
			want:   &ViolationError{LogMismatch, "phone: 90 allocated in the database, 100 in the log"},
		},
		"an item that the log does not have": {
			allocated: []Quantity{{SKU: "case", Quantity: 5}, {SKU: "phone", Quantity: 100}},
			sold:      []Quantity{{SKU: "phone", Quantity: 60}},
			totals:    []Total{phone},
			want:      &ViolationError{LogMismatch, "case: 5 allocated in the database, 0 in the log"},
		},
		"an order that is not in the database": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}}, sold: []Quantity{{SKU: "phone", Quantity: 59}},
			totals: []Total{phone},
			want:   &ViolationError{DatabaseMismatch, "phone: sold 60 in the log, 59 in the database"},
		},
		"an order of something else": {
			allocated: []Quantity{{SKU: "phone", Quantity: 100}},
			sold:      []Quantity{{SKU: "case", Quantity: 1}, {SKU: "phone", Quantity: 60}},
			totals:    []Total{phone},
			want:      &ViolationError{DatabaseMismatch, "case: sold 0 in the log, 1 in the database"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := prove(tt.allocated, tt.topUps, tt.sold, tt.totals)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("prove() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProveReturned(t *testing.T) {
	totals := []Total{{SKU: "phone", Allocated: 100, Sold: 60, Unsold: 40}}
	if got := proveReturned([]Quantity{{SKU: "phone", Quantity: 40}}, totals); got != nil {
		t.Errorf("proveReturned() = %v, want nil", got)
	}
	want := &ViolationError{DatabaseMismatch, "phone: unsold 40, returned 0"}
	if diff := cmp.Diff(want, proveReturned(nil, totals)); diff != "" {
		t.Errorf("proveReturned() (-want +got):\n%s", diff)
	}
}
