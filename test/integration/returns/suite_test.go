// Package returns_test takes returns from the request to the refund and the stock, on a real
// database, with many callers at once and answers whose outcome is unknown.
package returns_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const patience = 2 * time.Minute

func TestReturns(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	RunSpecs(t, "Returns")
}
