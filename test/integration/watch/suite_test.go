// Package watch_test has apps watch orders at the pods of a shop: what one pod changes is seen at
// another, through the restart of pods and of NATS.
package watch_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestWatchingOrders(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	RunSpecs(t, "Watching orders")
}
