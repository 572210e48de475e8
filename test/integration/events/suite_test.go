// Package events_test follows the events of orders through a shop of several pods to
// everybody who waits for them: rewards, push notifications, parcels and what cancels
// payments; and to the dead letters.
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
