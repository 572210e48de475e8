// Package seed puts the sale's SKUs and their stock into the catalog, and reads the stock.
package seed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect/v2"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/shop"
)

const (
	callWithin = 5 * time.Second
	retryAfter = 500 * time.Millisecond
)

// Fill creates or updates every SKU, tops its available stock up to what the promotion takes, and
// writes the stock as one line. Running it again with the same plan changes nothing.
func Fill(ctx context.Context, p plan.Plan, out io.Writer) error {
	s := shop.NewStandard(p.StandardURL, 4)
	ctx, err := asStaff(ctx, p)
	if err != nil {
		return err
	}
	if err := fill(ctx, s, p); err != nil {
		return err
	}
	if err := campaign(ctx, s, p); err != nil {
		return err
	}
	return Print(ctx, p, out)
}

// fill creates the SKUs and tops their stock up.
func fill(ctx context.Context, s *shop.Standard, p plan.Plan) error {
	for _, it := range p.Items {
		err := call(ctx, func(ctx context.Context) error {
			_, err := s.Catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
				Sku: it.SKU, Title: it.Title, OnSale: true,
				Price: &moneyv1.Money{Amount: it.UnitPrice, Currency: it.Currency},
			}})
			return err
		})
		if err != nil {
			return fmt.Errorf("creating SKU %s: %w", it.SKU, err)
		}
		stock, err := read(ctx, s, it.SKU)
		if err != nil {
			return err
		}
		short := it.Stock - stock.Available
		if short <= 0 {
			continue
		}
		err = call(ctx, func(ctx context.Context) error {
			_, err := s.Catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{
				RequestId: "fill-" + p.Run + "-" + it.SKU, Sku: it.SKU, Delta: short,
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("adding %d to the stock of %s: %w", short, it.SKU, err)
		}
	}
	return nil
}

// Print writes the stock of the plan's SKUs as one line.
func Print(ctx context.Context, p plan.Plan, out io.Writer) error {
	s := shop.NewStandard(p.StandardURL, 4)
	ctx, err := asStaff(ctx, p)
	if err != nil {
		return err
	}
	line := plan.Line{}
	for _, it := range p.Items {
		stock, err := read(ctx, s, it.SKU)
		if err != nil {
			return err
		}
		line.Stock = append(line.Stock, stock)
	}
	if err := json.NewEncoder(out).Encode(line); err != nil {
		return fmt.Errorf("writing the stock: %w", err)
	}
	return nil
}

// asStaff is a context in which calls are made by the shop's staff.
func asStaff(ctx context.Context, p plan.Plan) (context.Context, error) {
	return shop.AsStaff(ctx, p.IssuerURL, "catalog", "marketing")
}

func read(ctx context.Context, s *shop.Standard, sku string) (plan.Stock, error) {
	var res *catalogv1.GetSkuResponse
	err := call(ctx, func(ctx context.Context) (err error) {
		res, err = s.Catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: sku})
		return err
	})
	if err != nil {
		return plan.Stock{}, fmt.Errorf("reading SKU %s: %w", sku, err)
	}
	st := res.GetStock()
	return plan.Stock{SKU: sku, Available: st.GetAvailable(), Reserved: st.GetReserved(), Deducted: st.GetDeducted()}, nil
}

// call repeats what failed for a reason that passes, until the context ends.
func call(ctx context.Context, f func(context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, callWithin)
		err := f(one)
		cancel()
		if err == nil {
			return nil
		}
		switch connect.CodeOf(err) {
		case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown:
		default:
			return err
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return err
		}
	}
}
