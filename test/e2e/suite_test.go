//go:build e2e

package e2e

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/hack/demo/platform"
	"github.com/orderd-dev/orderd/hack/demo/target"
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(2 * time.Minute)
	SetDefaultEventuallyPollingInterval(500 * time.Millisecond)
	RunSpecs(t, "orderd on a cluster")
}

var (
	cluster target.Target
	up      *platform.Platform
)

var _ = BeforeSuite(func(ctx context.Context) {
	path := os.Getenv("ORDERD_E2E_TARGET")
	Expect(path).NotTo(BeEmpty(), "ORDERD_E2E_TARGET must name the file that hack/demo/prepare.sh writes; use make e2e")
	var err error
	cluster, err = target.Read(path)
	Expect(err).NotTo(HaveOccurred())
	up, err = platform.Up(ctx, cluster, logger())
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(15*time.Minute))

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(GinkgoWriter, nil)) }
