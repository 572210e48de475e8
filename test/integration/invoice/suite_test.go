// Package invoice_test takes invoices from what buyers ask for to what voids them: on a real database, with many
// callers at once and refunds between, and in a shop of real pods, where an order is placed with the wish for one.
package invoice_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const patience = 2 * time.Minute

func TestInvoices(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	RunSpecs(t, "Invoices")
}
