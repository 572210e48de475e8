// Package tax has the classes of goods and the rate of each. Prices include their tax.
package tax

import (
	"connectrpc.com/connect/v2"

	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/kit/money"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// maxClasses is how many there may be; lists are not paged.
	maxClasses = 200
	// whole is 100 % in basis points.
	whole = 10_000
)

// Class of goods that pay the same tax.
type Class struct {
	Name, Title string
	// Rate in basis points of the price before tax.
	Rate int64
}

// Included is the tax in an amount that includes it, rounded half up.
func Included(amount, rate int64) int64 {
	if rate <= 0 {
		return 0
	}
	return money.Round(amount, rate, whole+rate)
}

// NotFound is the error for a class that there is not.
func NotFound(name string) error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonTaxClassNotFound, "there is no such tax class", "tax_class", name)
}

func (c Class) proto() *taxv1.TaxClass {
	return &taxv1.TaxClass{Name: c.Name, Title: c.Title, RateBasisPoints: c.Rate}
}
