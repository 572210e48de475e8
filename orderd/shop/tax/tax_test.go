package tax_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestIncluded(t *testing.T) {
	tests := []struct {
		name         string
		amount, rate int64
		want         int64
	}{
		{name: "13 %", amount: 11300, rate: 1300, want: 1300},
		{name: "half is rounded up", amount: 21, rate: 10000, want: 11},
		{name: "just below half is rounded down", amount: 100, rate: 1300, want: 12},
		{name: "no tax", amount: 100, rate: 0, want: 0},
		{name: "nothing to pay", amount: 0, rate: 1300, want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tax.Included(tt.amount, tt.rate); got != tt.want {
				t.Errorf("tax in %d at %d basis points is %d, want %d", tt.amount, tt.rate, got, tt.want)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		amount, rate := rapid.Int64Range(0, 1<<62).Draw(t, "amount"), rapid.Int64Range(0, 10000).Draw(t, "rate")
		if got := tax.Included(amount, rate); got < 0 || got > amount {
			t.Fatalf("tax in %d at %d basis points is %d", amount, rate, got)
		}
	})
}

func TestClasses(t *testing.T) {
	ctx := context.Background()
	pool := testdb.NewPool(t)
	service := tax.NewService(tax.Options{Pool: pool, Clock: time.Now})
	upsert := func(request string, class *taxv1.TaxClass) error {
		_, err := service.UpsertTaxClass(ctx, &taxv1.UpsertTaxClassRequest{RequestId: request, TaxClass: class})
		return err
	}
	food := &taxv1.TaxClass{Name: "food", Title: "Food", RateBasisPoints: 900}
	goods := &taxv1.TaxClass{Name: "goods", Title: "Goods", RateBasisPoints: 1300}
	lower := &taxv1.TaxClass{Name: "goods", Title: "Goods", RateBasisPoints: 1200}
	for request, class := range map[string]*taxv1.TaxClass{"r1": goods, "r2": food} {
		if err := upsert(request, class); err != nil {
			t.Fatal(err)
		}
	}
	if err := upsert("r3", lower); err != nil {
		t.Fatal(err)
	}
	// A late retry does not bring back what was replaced since.
	if err := upsert("r1", goods); err != nil {
		t.Fatal(err)
	}
	if err := upsert("r1", food); rpcerr.Reason(err) != "REQUEST_ID_REUSED" {
		t.Errorf("the same request id for another class: %v", err)
	}
	got, err := service.ListTaxClasses(ctx, &taxv1.ListTaxClassesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&taxv1.ListTaxClassesResponse{TaxClasses: []*taxv1.TaxClass{food, lower}}, got,
		protocmp.Transform()); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	rates, err := tax.Rates(ctx, pool, []string{"goods", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"goods": 1200}, rates); diff != "" {
		t.Errorf("rates (-want +got):\n%s", diff)
	}
}
