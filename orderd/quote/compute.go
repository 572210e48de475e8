package quote

import (
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/catalog"
	"github.com/orderd-dev/orderd/orderd/money"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// Compute works out what the input costs by the facts that were loaded for it. It reads nothing and
// changes nothing. Its errors are those of QuoteService.QuoteOrder.
func (f *Facts) Compute(in Input, now time.Time) (*Quote, error) {
	q := &Quote{Invoice: in.Invoice}
	if err := f.goods(q, in.Lines); err != nil {
		return nil, err
	}
	q.Total = q.Goods
	return q, nil
}

// goods makes the quote's lines from the SKUs.
func (f *Facts) goods(q *Quote, lines []Line) error {
	q.Lines = make([]QuotedLine, len(lines))
	for i, l := range lines {
		sku, ok := f.skus[l.SKU]
		switch {
		case !ok:
			return catalog.NotFound(l.SKU)
		case !sku.OnSale:
			return catalog.NotOnSale(l.SKU)
		case i > 0 && sku.Currency != q.Currency:
			return rpcerr.New(connect.CodeFailedPrecondition, "CURRENCY_MISMATCH", "the SKUs' prices are in different currencies", "sku", l.SKU)
		}
		q.Currency = sku.Currency
		amount, fits := money.Mul(sku.UnitPrice, l.Quantity)
		if !fits {
			return tooLarge()
		}
		if q.Goods, fits = money.Add(q.Goods, amount); !fits {
			return tooLarge()
		}
		q.Lines[i] = QuotedLine{SKU: sku.SKU, Title: sku.Title, Quantity: l.Quantity, UnitPrice: sku.UnitPrice, Amount: amount}
	}
	return nil
}

func tooLarge() error {
	return rpcerr.New(connect.CodeInvalidArgument, "AMOUNT_TOO_LARGE", "the order's total is too large")
}
