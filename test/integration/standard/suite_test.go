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
