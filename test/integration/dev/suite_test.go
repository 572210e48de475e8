// Package dev_test runs a whole shop in one process (hack/dev) as a developer does: from its command
// line, by what it prints, through edits of files, and through its sudden death.
package dev_test

import (
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/test/kit/testdev"
)

// program is hack/dev, built for this suite.
var program string

var _ = BeforeSuite(func() {
	program = filepath.Join(GinkgoT().TempDir(), "orderd-dev")
	testdev.Build(program, "github.com/orderd-dev/orderd/hack/dev")
})

func TestDev(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "A shop in one process")
}
