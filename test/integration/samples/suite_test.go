// Package samples_test runs the samples of docs/ as a developer does: against a shop in one process
// (hack/dev), the page in a browser.
package samples_test

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/test/kit/testdev"
)

// root of the repository.
const root = "../../.."

// programs is the folder with hack/dev and the journey, built for this suite.
var programs string

var _ = BeforeSuite(func() {
	programs = GinkgoT().TempDir()
	testdev.Build(programs, "github.com/orderd-dev/orderd/hack/dev", "github.com/orderd-dev/orderd/docs/samples/journey")
})

func TestSamples(t *testing.T) {
	readSources(t)
	RegisterFailHandler(Fail)
	RunSpecs(t, "The samples against a shop in one process")
}

// readSources reads the folders whose files other processes read for this test: the go command takes
// its earlier result for the present one unless a file or folder has changed that the test has read.
func readSources(t *testing.T) {
	t.Helper()
	made := []string{"node_modules", "dist"}
	for _, folder := range []string{"api/ts", "config/samples", "docs/samples"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && slices.Contains(made, d.Name()) {
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a command to its end, and returns what it printed.
func run(cmd *exec.Cmd) string {
	GinkgoHelper()
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s: %s", cmd, out)
	return string(out)
}
