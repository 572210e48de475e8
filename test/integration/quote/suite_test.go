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
