package dev_test

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/hack/dev/home"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

const patience = 2 * time.Minute

// printed is what a program prints, safe for concurrent use.
type printed struct {
	mu   sync.Mutex
	text []byte
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text...)
	return GinkgoWriter.Write(text)
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

// shop is a shop for development, in a folder and at ports of its own.
type shop struct {
	*testproc.Process
	out  *printed
	port int
}

func newShop(args ...string) *shop {
	GinkgoHelper()
	data, err := os.MkdirTemp("", "orderd-dev-test-")
	Expect(err).NotTo(HaveOccurred())
	s := &shop{out: &printed{}, port: tenPorts()}
	all := append([]string{"-data", data, "-port", strconv.Itoa(s.port)}, args...)
	s.Process = &testproc.Process{Name: "orderd-dev", Path: program, Args: all, Log: s.out}
	DeferCleanup(func(ctx SpecContext) {
		s.Kill()
		// Its database ends a moment later.
		left, err := home.Open(ctx, data)
		Expect(err).NotTo(HaveOccurred())
		Expect(left.Reset()).To(Succeed())
		Expect(os.RemoveAll(data)).To(Succeed())
	})
	return s
}

// tenPorts are free ones in a row; the first is returned.
func tenPorts() int {
	GinkgoHelper()
	for first := 20_000 + 10*(GinkgoRandomSeed()%1000); first < 60_000; first += 10 {
		free := true
		for n := range int64(10) {
			socket, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatInt(first+n, 10)))
			if err != nil {
				free = false
				break
			}
			_ = socket.Close()
		}
		if free {
			return int(first)
		}
	}
	Fail("there are no ten free ports")
	return 0
}

// ready starts the shop and waits until it says that it is ready.
func (s *shop) ready(args ...string) {
	GinkgoHelper()
	s.out.clear()
	before := s.Args
	s.Args = append(append([]string{}, before...), args...)
	defer func() { s.Args = before }()
	Expect(s.Start()).To(Succeed())
	s.says(`orderd is ready after [0-9.]+ s(?s:.*)ListOrders.*\n`)
}

// make is ready by the Makefile's target, from the source that is there.
func (s *shop) make(args ...string) {
	GinkgoHelper()
	path, err := exec.LookPath("make")
	Expect(err).NotTo(HaveOccurred())
	shop := s.Process
	s.Process = &testproc.Process{
		Name: "make dev", Path: path, Log: s.out,
		Args: []string{"-C", root, "dev", "ARGS=" + strings.Join(append(append([]string{}, shop.Args...), args...), " ")},
	}
	Expect(s.Start()).To(Succeed())
	// Make does not take the shop with it if it is killed; Ctrl-C reaches both.
	DeferCleanup(s.Process.Interrupt)
	s.says(`orderd is ready after`)
}

// says waits until the shop has printed what matches, and returns its groups.
func (s *shop) says(pattern string) []string {
	GinkgoHelper()
	wanted := regexp.MustCompile(pattern)
	Eventually(s.out.String).WithTimeout(patience).Should(MatchRegexp(pattern))
	return wanted.FindStringSubmatch(s.out.String())
}

// calls are the lines that the shop says can be copied: the token, and those with curl.
func (s *shop) calls() (token string, curls []string) {
	GinkgoHelper()
	token = s.says(`(?m)^(export TOKEN=\S+)$`)[1]
	curls = regexp.MustCompile(`(?m)^curl .*$`).FindAllString(s.out.String(), -1)
	Expect(curls).To(HaveLen(3))
	return token, curls
}

// sh runs lines as a developer who has copied them, and returns what they print.
func sh(lines ...string) string {
	GinkgoHelper()
	script := ""
	for _, line := range lines {
		script += line + "\n"
	}
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}
