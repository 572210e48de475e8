// Package standard_test runs the standard lane and its workers on a real database: orders, payments,
// stock and the outbox, through deaths between a commit and its answer and through outages.
//
// The pod is put together here and not by orderd/serve, because the tests reach between its parts:
// they stand between the network and the orders, and between the payments and the provider, to die
// there, and they run single workers, at the pace of a test, on its stores. Who may call and what
// is around the RPCs is left out on purpose; suites auth, events and journeys have whole pods.
package standard_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// TestMain runs a child's part when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	if mode := os.Getenv(childVariable); mode != "" {
		os.Exit(runChild(mode))
	}
	os.Exit(m.Run())
}

func TestStandardLane(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The standard lane and its workers")
}
