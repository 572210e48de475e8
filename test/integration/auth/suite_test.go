// Package auth_test asks whole pods, over HTTP, who may call what: tokens of an issuer that rotates
// its keys and goes away, and the audit of what staff and services change, while pods die in the middle of it.
package auth_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/serve"
)

// childVariable names the configuration of the pod that this test binary is, when it has
// started itself again.
const childVariable = "ORDERD_TEST_CHILD_CONFIG"

// TestMain is a pod's part when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		os.Exit(runChild(path))
	}
	os.Exit(m.Run())
}

// runChild serves the standard role until standard input closes, which the parent's death does too.
func runChild(path string) int {
	c, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	err = serve.Run(ctx, serve.Options{
		Role:    config.RoleStandard,
		Config:  c,
		Name:    "child",
		Version: "test",
		Log:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestAccess(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Who may call a pod, and what staff and services leave behind")
}
