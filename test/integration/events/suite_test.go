package events_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestAfterThePayment(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "What follows from a payment: rewards, notifications, shipments")
}
