// Package dev_test runs a whole shop in one process (hack/dev) as a developer does: from its command
// line, by what it prints, through edits of files, and through its sudden death.
package dev_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// program is hack/dev, built for this suite.
var program string

var _ = BeforeSuite(func() {
	program = filepath.Join(GinkgoT().TempDir(), "orderd-dev")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/orderd-dev/orderd/hack/dev")
	// As the Makefile builds it, so that what it needs is compiled once.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
})

func TestDev(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "A shop in one process")
}
