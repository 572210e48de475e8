//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/hack/demo/platform"
	"github.com/orderd-dev/orderd/hack/demo/target"
	"github.com/orderd-dev/orderd/orderd/kit/certs"
)

// within is how long what takes seconds may take. An Eventually that has a context needs to be told.
const within = 2 * time.Minute

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(within)
	SetDefaultEventuallyPollingInterval(500 * time.Millisecond)
	RunSpecs(t, "orderd on a cluster")
}

var (
	cluster target.Target
	up      *platform.Platform
	// believed is the demo's authority.
	believed *x509.CertPool
)

var _ = BeforeSuite(func(ctx context.Context) {
	path := os.Getenv("ORDERD_E2E_TARGET")
	Expect(path).NotTo(BeEmpty(), "ORDERD_E2E_TARGET must name the file that hack/demo/prepare.sh writes; use make e2e")
	var err error
	cluster, err = target.Read(path)
	Expect(err).NotTo(HaveOccurred())
	believe()
	up, err = platform.Up(ctx, cluster, logger())
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(15*time.Minute))

// believe makes this process believe the certificates of the demo's authority, whatever connects.
func believe() {
	GinkgoHelper()
	pem, err := cluster.Certificate("ca.crt")
	Expect(err).NotTo(HaveOccurred())
	believed, err = certs.Authorities(pem)
	Expect(err).NotTo(HaveOccurred())
	transport, ok := http.DefaultTransport.(*http.Transport)
	Expect(ok).To(BeTrue())
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: believed}
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(GinkgoWriter, nil)) }
