// Package quote_test is what comes before an order, over HTTP on a real database: carts of buyers and
// guests, prices with coupons, tax and freight, and orders that must be what was quoted.
package quote_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestBeforeTheOrder(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Catalog, carts, addresses, freight and quotes, until an order is placed")
}
