package quote

import (
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/money"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
)

// Compute works out what the input costs by the facts that were loaded for it. It reads nothing and
// changes nothing. Its errors are those of QuoteService.QuoteOrder.
func (f *Facts) Compute(in Input, now time.Time) (*Quote, error) {
	q := &Quote{Invoice: in.Invoice}
	if err := f.goods(q, in.Lines); err != nil {
		return nil, err
	}
	if err := f.address(q, in); err != nil {
		return nil, err
	}
	// Coupons that take something off the goods come before the freight, which may depend on what
	// the goods cost then, and coupons that take something off the freight after it.
	discounts, err := f.discounts(q, in, now)
	if err != nil {
		return nil, err
	}
	for i := range q.Lines {
		q.Lines[i].Discount = discounts[i]
		q.Discount += discounts[i]
	}
	offer, err := f.delivery(q, in)
	if err != nil {
		return nil, err
	}
	off, err := f.applyCoupons(q, in, offer.Freight, now)
	if err != nil {
		return nil, err
	}
	q.Freight = offer.Freight - off
	f.shareFreight(q, offer.ChargeBy)
	f.finish(q)
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
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonCurrencyMismatch,
				"the SKUs' prices are in different currencies", "sku", l.SKU)
		}
		q.Currency = sku.Currency
		amount, fits := money.Mul(sku.UnitPrice, l.Quantity)
		if !fits {
			return tooLarge()
		}
		if q.Goods, fits = money.Add(q.Goods, amount); !fits {
			return tooLarge()
		}
		q.Lines[i] = QuotedLine{
			SKU:       sku.SKU,
			Title:     sku.Title,
			Quantity:  l.Quantity,
			UnitPrice: sku.UnitPrice,
			Amount:    amount,
		}
	}
	return nil
}

// shareFreight divides the freight over the lines by what it was charged by; evenly if none of
// them has any of that.
func (f *Facts) shareFreight(q *Quote, by freight.ChargeBy) {
	weights := make([]int64, len(q.Lines))
	for i, l := range q.Lines {
		switch by {
		case freight.ByWeight:
			weights[i] = f.skus[l.SKU].WeightGrams * l.Quantity
		case freight.ByPiece:
			weights[i] = l.Quantity
		default:
			weights[i] = l.Amount - l.Discount
		}
	}
	for i, share := range money.Split(q.Freight, weights) {
		q.Lines[i].Freight = share
	}
}

// finish sums up what is paid, which fits because the freight's offer was made for these
// goods, and the tax in it.
func (f *Facts) finish(q *Quote) {
	q.Total = q.Goods - q.Discount + q.Freight
	for i := range q.Lines {
		l := &q.Lines[i]
		l.Tax = tax.Included(l.Total(), f.rates[f.skus[l.SKU].TaxClass])
		q.Tax += l.Tax
	}
}

func tooLarge() error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonAmountTooLarge, "the order's total is too large")
}
