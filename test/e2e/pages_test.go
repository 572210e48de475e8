//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/test/kit/pages"
)

var _ = Describe("The page about the demo's cluster", func() {
	It("says what is so", func() {
		root, err := filepath.Abs("../..")
		Expect(err).NotTo(HaveOccurred())
		raw, err := os.ReadFile(filepath.Join(root, "docs", "demo.md"))
		Expect(err).NotTo(HaveOccurred())
		folder := GinkgoT().TempDir()
		page := filepath.Join(folder, "demo.md")
		// The cluster may be another one.
		text := strings.ReplaceAll(string(raw), "$PWD/bin/cluster/kubeconfig", cluster.Kubeconfig)
		Expect(os.WriteFile(page, []byte(text), 0o600)).To(Succeed())
		blocks, err := pages.Read(page)
		Expect(err).NotTo(HaveOccurred())
		session, err := pages.Start(folder, map[string]string{"no_proxy": "localhost"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(session.Stop)
		_, _, err = session.Run("cd " + root)
		Expect(err).NotTo(HaveOccurred())
		run := 0
		for _, block := range blocks {
			if strings.HasPrefix(block.Script, "make ") {
				// What was done before this suite.
				continue
			}
			printed, complained, err := session.Run(block.Script)
			Expect(err).NotTo(HaveOccurred(), "docs/demo.md:%d: %s%s", block.Line, printed, complained)
			Expect(block.Check(printed)).To(Succeed(), "docs/demo.md:%d: %s%s", block.Line, printed, complained)
			run++
		}
		Expect(run).To(Equal(5))
	})
})
