package auth_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 2 * time.Minute

// world is what pods need, and an issuer of tokens that can go away.
type world struct {
	*testshop.Shop
	away atomic.Bool
}

func newWorld() *world {
	GinkgoHelper()
	w := &world{Shop: testshop.New(GinkgoTB(), GinkgoWriter)}
	jwks := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.away.Load() {
			http.Error(rw, "away", http.StatusServiceUnavailable)
			return
		}
		w.Issuer.ServeHTTP(rw, r)
	}))
	DeferCleanup(jwks.Close)
	w.Config.Auth.JWKSURL = jwks.URL + issuer.JWKSPath
	w.Config.Database.MaxConnections = 6
	// It is no pool of the shop.
	w.Config.Flash.PeerURL = ""
	return w
}

// pod is one that runs as the operator's do: from a configuration, in all its parts.
type pod struct{ *testshop.Pod }

// through is a pod's configuration with another way to the database.
func (w *world) through(databaseURL string) config.Config {
	GinkgoHelper()
	way, err := url.Parse(databaseURL)
	Expect(err).NotTo(HaveOccurred())
	c := w.Pod()
	c.Database.URLFile = w.Secret("url-"+way.Port(), databaseURL)
	return c
}

// start runs a pod in this process until the spec ends, and does not wait until it is ready.
func (w *world) start(role config.Role, c config.Config) *pod {
	GinkgoHelper()
	return &pod{w.Start(role, "pod", c)}
}

// standard is a pod of the standard role that is ready.
func (w *world) standard() *pod {
	GinkgoHelper()
	return &pod{w.Ready(config.RoleStandard, "pod", w.Pod())}
}

func (p *pod) untilReady() {
	GinkgoHelper()
	Eventually(p.Health).WithTimeout(patience).Should(Equal(http.StatusOK))
}

// clients call a pod with one token.
type clients struct {
	catalog catalogv1connect.CatalogServiceClient
	orders  orderv1connect.OrderServiceClient
	audit   auditv1connect.AuditServiceClient
	flash   flashv1connect.FlashServiceClient
}

func (p *pod) with(token string) clients {
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, p.URL), issuer.Bearer(token))
	return clients{
		catalog: catalogv1connect.NewCatalogServiceClient(c), orders: orderv1connect.NewOrderServiceClient(c),
		audit: auditv1connect.NewAuditServiceClient(c), flash: flashv1connect.NewFlashServiceClient(c),
	}
}

// child is this test binary, running again as a pod.
type child struct {
	*pod
	cmd  *exec.Cmd
	done chan struct{}
}

// startChild starts a pod in a process of its own. It is killed when the spec ends.
func (w *world) startChild(databaseURL string) *child {
	GinkgoHelper()
	c := w.through(databaseURL)
	raw, err := yaml.Marshal(c)
	Expect(err).NotTo(HaveOccurred())
	path := w.Secret("config.yaml", string(raw))
	started := &child{pod: &pod{testshop.PodAt("child", c)}, cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	started.cmd.Env = append(os.Environ(), childVariable+"="+path)
	started.cmd.Stderr = GinkgoWriter
	stdin, err := started.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(started.cmd.Start()).To(Succeed())
	go func() {
		_ = started.cmd.Wait()
		close(started.done)
	}()
	DeferCleanup(func() {
		_ = started.cmd.Process.Kill()
		<-started.done
		_ = stdin.Close()
	})
	return started
}

// killed waits until the child has died of SIGKILL.
func (c *child) killed() {
	GinkgoHelper()
	Eventually(c.done).WithTimeout(patience).Should(BeClosed())
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	Expect(ok).To(BeTrue())
	Expect(status.Signal()).To(Equal(syscall.SIGKILL))
}

// witness stands between a pod and its database, and acts before a statement gets there.
type witness struct {
	url, target string

	mu    sync.Mutex
	conns []net.Conn
	text  []byte
	act   func()
}

func newWitness(databaseURL string) *witness {
	GinkgoHelper()
	u, err := url.Parse(databaseURL)
	Expect(err).NotTo(HaveOccurred())
	w := &witness{target: u.Host}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	u.Host = listener.Addr().String()
	w.url = u.String()
	go w.accept(listener)
	DeferCleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range w.conns {
			_ = c.Close()
		}
	})
	return w
}

// before acts once, in place of sending what has the text.
func (w *witness) before(text string, act func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text, w.act = []byte(text), act
}

func (w *witness) accept(listener net.Listener) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, from, to)
		w.mu.Unlock()
		go func() {
			_, _ = io.Copy(from, to)
			_ = from.Close()
		}()
		go w.forward(from, to)
	}
}

func (w *witness) forward(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		act := w.act
		if act != nil && !bytes.Contains(buffer[:n], w.text) {
			act = nil
		}
		if act != nil {
			w.act = nil
		}
		w.mu.Unlock()
		if act != nil {
			act()
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// failWith matches an RPC's error by its code and reason.
func failWith(code connect.Code, reason string) types.GomegaMatcher {
	return And(HaveOccurred(),
		WithTransform(connect.CodeOf, Equal(code)),
		WithTransform(rpcerr.Reason, Equal(reason)))
}
