// Package bulk_test does what files of the shop's staff say, against a real database and with real pods: workers die
// between rows and within one, rows are refused, jobs are cancelled.
package bulk_test

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const patience = 2 * time.Minute

// TestMain runs a child's part when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(runChild())
	}
	os.Exit(m.Run())
}

func TestBulk(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "The staff's files")
}
