// Package desk_test finds, reads and changes orders as the shop's staff do, against a real database: what is found is
// compared with a naive look at all orders, changes meet others at the same time, and a process dies between a commit
// and its answer.
package desk_test

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

func TestDesk(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	RunSpecs(t, "The staff's desk")
}
