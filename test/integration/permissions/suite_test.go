// Package permissions_test holds a sale on a NATS server that knows the roles' users and permits them
// what config/nats says, and nothing else.
package permissions_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestPermissions(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	RunSpecs(t, "What each role may do in NATS")
}
