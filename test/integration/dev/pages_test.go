package dev_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/test/kit/pages"
	"github.com/orderd-dev/orderd/test/kit/testdev"
)

// root of the repository.
const root = "../../.."

var (
	making = regexp.MustCompile(`(?m)^make dev(?: ARGS='(.*)')?$`)
	// others are commands that other parts of the CI run.
	others = regexp.MustCompile(`(?m)^make (demo|test|e2e)\b`)
)

var _ = Describe("The commands of a page", func() {
	run := func(page string, least int) {
		s, temporary := testdev.New(program), GinkgoT().TempDir()
		raw, err := os.ReadFile(filepath.Join(root, page))
		Expect(err).NotTo(HaveOccurred())
		text := strings.ReplaceAll(string(raw), "/tmp/sales", filepath.Join(temporary, "sales"))
		for n := range 5 {
			text = strings.ReplaceAll(text, fmt.Sprintf("127.0.0.1:808%d", n), fmt.Sprintf("127.0.0.1:%d", s.Port+n))
		}
		copied := filepath.Join(temporary, "page.md")
		Expect(os.WriteFile(copied, []byte(text), 0o600)).To(Succeed())
		blocks, err := pages.Read(copied)
		Expect(err).NotTo(HaveOccurred())
		session, err := pages.Start(temporary, map[string]string{"no_proxy": "127.0.0.1"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(session.Stop)
		absolute, err := filepath.Abs(root)
		Expect(err).NotTo(HaveOccurred())
		_, _, err = session.Run("cd " + absolute)
		Expect(err).NotTo(HaveOccurred())
		done := 0
		for _, block := range blocks {
			if others.MatchString(block.Script) {
				continue
			}
			made := making.FindStringSubmatch(block.Script)
			printed, complained, err := session.Run(making.ReplaceAllString(block.Script, "true"))
			Expect(err).NotTo(HaveOccurred(), "%s:%d: %s%s", page, block.Line, printed, complained)
			if made != nil {
				runByMake(s, strings.Fields(made[1])...)
			}
			Expect(block.Check(printed)).To(Succeed(), "%s:%d: %s%s", page, block.Line, printed, complained)
			done++
		}
		Expect(done).To(BeNumerically(">=", least))
	}
	It("README.md work", func() { run("README.md", 1) })
	It("docs/dev.md work", func() { run("docs/dev.md", 7) })
})
