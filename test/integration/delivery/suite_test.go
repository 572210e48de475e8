// Package delivery_test takes paid orders to their buyers against a real database and the carrier's
// simulator over HTTP, whose answers are slow, lost, forged or in another sequence, and kills workers
// between a carrier's answer and their own commit.
package delivery_test

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
	if mode := os.Getenv(childVariable); mode != "" {
		os.Exit(runChild(mode))
	}
	os.Exit(m.Run())
}

func TestDelivery(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	RunSpecs(t, "Shipments and their carriers")
}
