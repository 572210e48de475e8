// Package testdev runs a shop in one process (hack/dev) for Ginkgo's suites, as a developer does: by its
// command line and by what it prints.
package testdev

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/hack/dev/home"
	// What the program is made of: a change of it runs a suite again, whose results go would take for
	// the present ones otherwise.
	_ "github.com/orderd-dev/orderd/hack/dev/stack"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

// Patience is how long anything may take on a busy machine.
const Patience = 2 * time.Minute

// Build compiles packages of the repository, as the Makefile does, so that what they need is compiled
// once, into a folder.
func Build(folder string, packages ...string) {
	ginkgo.GinkgoHelper()
	build := exec.Command("go", append([]string{"build", "-trimpath", "-o", folder}, packages...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), string(out))
}

// Shop is a shop, in a folder and at ports of its own.
type Shop struct {
	*testproc.Process
	// Port is the first of its ten.
	Port int
	out  *printed
}

// New makes one that does not run yet, of the program hack/dev, with more arguments. It ends with the
// spec or the container that made it.
func New(program string, args ...string) *Shop {
	ginkgo.GinkgoHelper()
	data, err := os.MkdirTemp("", "orderd-dev-test-")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	s := &Shop{out: &printed{}, Port: tenPorts()}
	all := append([]string{"-data", data, "-port", strconv.Itoa(s.Port)}, args...)
	s.Process = &testproc.Process{Name: "orderd-dev", Path: program, Args: all, Log: s.out}
	ginkgo.DeferCleanup(func(ctx ginkgo.SpecContext) {
		s.Kill()
		// Its database ends a moment later.
		left, err := home.Open(ctx, data, nil)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		gomega.Expect(left.Reset()).To(gomega.Succeed())
		gomega.Expect(os.RemoveAll(data)).To(gomega.Succeed())
	})
	return s
}

// Run starts the shop, with more arguments for this once, and waits until it says that it is ready.
func (s *Shop) Run(args ...string) {
	ginkgo.GinkgoHelper()
	s.out.clear()
	before := s.Args
	s.Args = append(append([]string{}, before...), args...)
	defer func() { s.Args = before }()
	gomega.Expect(s.Start()).To(gomega.Succeed())
	s.Says(`orderd is ready after [0-9.]+ s(?s:.*)ListOrders.*\n`)
}

// URL of the shop's nth port.
func (s *Shop) URL(n int) string { return fmt.Sprintf("http://127.0.0.1:%d", s.Port+n) }

// Said is what it has printed since it was last run.
func (s *Shop) Said() string { return s.out.String() }

// Says waits until the shop has printed what matches, and returns its groups.
func (s *Shop) Says(pattern string) []string {
	ginkgo.GinkgoHelper()
	gomega.Eventually(s.Said).WithTimeout(Patience).Should(gomega.MatchRegexp(pattern))
	return regexp.MustCompile(pattern).FindStringSubmatch(s.Said())
}

// printed is what a program prints, safe for concurrent use.
type printed struct {
	mu   sync.Mutex
	text []byte
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text...)
	return ginkgo.GinkgoWriter.Write(text)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}

func (p *printed) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = nil
}

// tenPorts are free ones in a row, for each process others; the first is returned.
func tenPorts() int {
	ginkgo.GinkgoHelper()
	const first, rows = 20_000, 1200
	for n := range rows {
		if port := first + 10*((os.Getpid()+n)%rows); free(port) {
			return port
		}
	}
	ginkgo.Fail("there are no ten free ports")
	return 0
}

func free(port int) bool {
	for n := range 10 {
		socket, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+n)))
		if err != nil {
			return false
		}
		_ = socket.Close()
	}
	return true
}
