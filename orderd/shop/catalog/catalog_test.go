package catalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func sku(code, category string, price int64, onSale bool) *catalogv1.Sku {
	return &catalogv1.Sku{
		Sku: code, Title: "Title of " + code, Price: &moneyv1.Money{Amount: price, Currency: "CNY"},
		OnSale: onSale, WeightGrams: 250, Category: category,
	}
}

func TestUpsertSku(t *testing.T) {
	ctx := context.Background()
	pool := testdb.NewPool(t)
	service := catalog.NewService(catalog.Options{Pool: pool, Clock: time.Now})
	upsert := func(request string, s *catalogv1.Sku) error {
		_, err := service.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{RequestId: request, Sku: s})
		return err
	}
	taxed := sku("A", "tea", 100, true)
	taxed.TaxClass = "food"
	if err := upsert("r1", taxed); rpcerr.Reason(err) != "TAX_CLASS_NOT_FOUND" {
		t.Errorf("a SKU of a tax class that there is not: %v", err)
	}
	_, err := tax.NewService(tax.Options{Pool: pool, Clock: time.Now}).UpsertTaxClass(ctx, &taxv1.UpsertTaxClassRequest{
		RequestId: "t1", TaxClass: &taxv1.TaxClass{Name: "food", Title: "Food", RateBasisPoints: 900},
	})
	if err != nil {
		t.Fatal(err)
	}
	// What was refused was not stored under the request's id.
	if err := upsert("r1", taxed); err != nil {
		t.Fatal(err)
	}
	dearer := sku("A", "tea", 200, true)
	if err := upsert("r2", dearer); err != nil {
		t.Fatal(err)
	}
	if err := upsert("r1", taxed); err != nil {
		t.Fatal(err)
	}
	got, err := service.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "A"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dearer, got.GetSku(), protocmp.Transform()); diff != "" {
		t.Errorf("after the late retry of an older change (-want +got):\n%s", diff)
	}
	if err := upsert("", taxed); err != nil {
		t.Fatal(err)
	}
	if err := upsert("r2", taxed); rpcerr.Reason(err) != "REQUEST_ID_REUSED" {
		t.Errorf("the same request id for another SKU: %v", err)
	}
}

func TestListSkus(t *testing.T) {
	ctx := context.Background()
	service := catalog.NewService(catalog.Options{Pool: testdb.NewPool(t), Clock: time.Now})
	for _, s := range []*catalogv1.Sku{
		sku("B", "tea", 1, true), sku("a", "tea", 2, true), sku("C", "cup", 3, true),
		sku("D", "tea", 4, false), sku("E", "tea", 5, true),
	} {
		if _, err := service.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: s}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		req  *catalogv1.ListSkusRequest
		want [][]string
	}{
		{name: "all on one page", req: &catalogv1.ListSkusRequest{}, want: [][]string{{"B", "C", "D", "E", "a"}}},
		{name: "pages", req: &catalogv1.ListSkusRequest{PageSize: 2}, want: [][]string{{"B", "C"}, {"D", "E"}, {"a"}}},
		{
			name: "the last page is full",
			req:  &catalogv1.ListSkusRequest{PageSize: 5},
			want: [][]string{{"B", "C", "D", "E", "a"}},
		},
		{
			name: "a category on sale",
			req:  &catalogv1.ListSkusRequest{PageSize: 2, Category: "tea", OnSaleOnly: true},
			want: [][]string{{"B", "E"}, {"a"}},
		},
		{name: "a category with nothing in it", req: &catalogv1.ListSkusRequest{Category: "none"}, want: [][]string{nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got [][]string
			for {
				answer, err := service.ListSkus(ctx, tt.req)
				if err != nil {
					t.Fatal(err)
				}
				var page []string
				for _, s := range answer.GetSkus() {
					page = append(page, s.GetSku())
				}
				got = append(got, page)
				if tt.req.PageToken = answer.GetNextPageToken(); tt.req.PageToken == "" {
					break
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := service.ListSkus(ctx, &catalogv1.ListSkusRequest{PageToken: "%"}); rpcerr.Reason(
		err,
	) != "INVALID_PAGE_TOKEN" {
		t.Errorf("a page token of nobody's: %v", err)
	}
}

func TestStockIsSpread(t *testing.T) {
	ctx := context.Background()
	service := catalog.NewService(catalog.Options{Pool: testdb.NewPool(t), Clock: time.Now})
	if _, err := service.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: sku("A", "tea", 1, true)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		spread, err := service.SpreadStock(ctx, &catalogv1.SpreadStockRequest{RequestId: "s1", Sku: "A", Buckets: 4})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&catalogv1.SpreadStockResponse{Stock: &catalogv1.Stock{Buckets: 4}}, spread,
			protocmp.Transform()); diff != "" {
			t.Errorf("spread (-want +got):\n%s", diff)
		}
		added, err := service.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "a1", Sku: "A", Delta: 10})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&catalogv1.AdjustStockResponse{Stock: &catalogv1.Stock{Available: 10, Buckets: 4}}, added,
			protocmp.Transform()); diff != "" {
			t.Errorf("added (-want +got):\n%s", diff)
		}
	}
	if _, err := service.AdjustStock(ctx,
		&catalogv1.AdjustStockRequest{RequestId: "a2", Sku: "A", Delta: -11}); rpcerr.Reason(
		err,
	) != "INSUFFICIENT_STOCK" {
		t.Errorf("more is taken than there is: %v", err)
	}
	if _, err := service.AdjustStock(ctx,
		&catalogv1.AdjustStockRequest{RequestId: "a2", Sku: "A", Delta: -9}); err != nil {
		t.Errorf("taken from several buckets: %v", err)
	}
	if _, err := service.SpreadStock(ctx,
		&catalogv1.SpreadStockRequest{RequestId: "s2", Sku: "NONE", Buckets: 4}); rpcerr.Reason(
		err,
	) != "SKU_NOT_FOUND" {
		t.Errorf("a SKU that there is not: %v", err)
	}
	got, err := service.GetSku(as(accessv1.Role_ROLE_CATALOG), &catalogv1.GetSkuRequest{Sku: "A"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&catalogv1.Stock{Available: 1, Buckets: 4}, got.GetStock(), protocmp.Transform()); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
}

// as is a call that the roles let in.
func as(roles ...accessv1.Role) context.Context {
	return auth.WithCaller(context.Background(), auth.Caller{Subject: "caller", Acting: auth.RolesOf(roles...)})
}

func TestWhoLearnsHowMuchStockThereIs(t *testing.T) {
	service := catalog.NewService(catalog.Options{Pool: testdb.NewPool(t), Clock: time.Now})
	ctx := context.Background()
	const soldOut, few, inStock = catalogv1.Availability_AVAILABILITY_SOLD_OUT,
		catalogv1.Availability_AVAILABILITY_FEW, catalogv1.Availability_AVAILABILITY_IN_STOCK
	for code, stocked := range map[string]int64{"none": 0, "one": 1, "ten": 10, "eleven": 11} {
		if _, err := service.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: sku(code, "tea", 1, true)}); err != nil {
			t.Fatal(err)
		}
		if stocked == 0 {
			continue
		}
		req := &catalogv1.AdjustStockRequest{RequestId: code, Sku: code, Delta: stocked}
		if _, err := service.AdjustStock(ctx, req); err != nil {
			t.Fatal(err)
		}
	}
	exactly := func(n int64) *catalogv1.Stock { return &catalogv1.Stock{Available: n, Buckets: 1} }
	buyer, backend, marketing := as(accessv1.Role_ROLE_BUYER), as(accessv1.Role_ROLE_CHECKOUT),
		as(accessv1.Role_ROLE_MARKETING)
	for _, tt := range []struct {
		name, sku string
		ctx       context.Context
		want      *catalogv1.GetSkuResponse
	}{
		{"a buyer, of nothing", "none", buyer, &catalogv1.GetSkuResponse{Availability: soldOut}},
		{"a buyer, of one unit", "one", buyer, &catalogv1.GetSkuResponse{Availability: few}},
		{"a buyer, of few", "ten", buyer, &catalogv1.GetSkuResponse{Availability: few}},
		{"a buyer, of more", "eleven", buyer, &catalogv1.GetSkuResponse{Availability: inStock}},
		{"nobody in particular", "eleven", ctx, &catalogv1.GetSkuResponse{Availability: inStock}},
		{"a backend", "eleven", backend, &catalogv1.GetSkuResponse{Availability: inStock, Stock: exactly(11)}},
		{"staff", "one", marketing, &catalogv1.GetSkuResponse{Availability: few, Stock: exactly(1)}},
		{
			"staff who buys too", "none", as(accessv1.Role_ROLE_BUYER, accessv1.Role_ROLE_CATALOG),
			&catalogv1.GetSkuResponse{Availability: soldOut, Stock: exactly(0)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := service.GetSku(tt.ctx, &catalogv1.GetSkuRequest{Sku: tt.sku})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Sku = sku(tt.sku, "tea", 1, true)
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}
