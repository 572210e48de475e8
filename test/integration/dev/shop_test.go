package dev_test

import (
	"os/exec"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/test/kit/testdev"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

// runByMake runs a shop by the Makefile's target, from the source that is there.
func runByMake(s *testdev.Shop, args ...string) {
	GinkgoHelper()
	path, err := exec.LookPath("make")
	Expect(err).NotTo(HaveOccurred())
	program := s.Process
	s.Process = &testproc.Process{
		Name: "make dev", Path: path, Log: program.Log,
		Args: []string{"-C", root, "dev", "ARGS=" + strings.Join(append(append([]string{}, program.Args...), args...), " ")},
	}
	// Make does not take the shop with it if it is killed; Ctrl-C reaches both.
	DeferCleanup(s.Interrupt)
	Expect(s.Start()).To(Succeed())
	s.Says(`orderd is ready after`)
}

// calls are the lines that the shop says can be copied: the token, and those with curl.
func calls(s *testdev.Shop) (token string, curls []string) {
	GinkgoHelper()
	token = s.Says(`(?m)^(export TOKEN=\S+)$`)[1]
	curls = regexp.MustCompile(`(?m)^curl .*$`).FindAllString(s.Said(), -1)
	Expect(curls).To(HaveLen(3))
	return token, curls
}

// sh runs lines as a developer who has copied them, and returns what they print.
func sh(lines ...string) string {
	GinkgoHelper()
	out, err := exec.Command("sh", "-ec", strings.Join(lines, "\n")).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}
