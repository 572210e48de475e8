//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+)`)

// forward makes a service reachable from here until the tests end, and returns at which address.
func forward(service string, port int) string {
	GinkgoHelper()
	return forwardIn(up.Cluster.Namespace, service, port)
}

// forwardIn is forward for a service or a Deployment of any namespace.
func forwardIn(namespace, service string, port int) string {
	GinkgoHelper()
	// It ends with the tests, not with the node that starts it.
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, cluster.Kubectl, "--kubeconfig", cluster.Kubeconfig, "--namespace", namespace,
		"port-forward", "--address", "127.0.0.1", service, ":"+strconv.Itoa(port))
	out, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	cmd.Stderr = GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		cancel()
		_ = cmd.Wait() // It was killed.
	})
	lines := bufio.NewScanner(out)
	Expect(lines.Scan()).To(BeTrue(), "kubectl port-forward ended")
	match := forwarding.FindStringSubmatch(lines.Text())
	Expect(match).NotTo(BeNil(), lines.Text())
	go func() {
		// What it writes later is read, so that it is never blocked.
		_, _ = io.Copy(io.Discard, out)
	}()
	return match[1]
}
