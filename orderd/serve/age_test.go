package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/certs"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

func TestTheAgeOfAConnectionIsATenthMoreOrLess(t *testing.T) {
	for _, tt := range []struct {
		random float64
		want   time.Duration
	}{
		{0, 27 * time.Second}, {0.5, 30 * time.Second}, {0.75, 31500 * time.Millisecond},
	} {
		a := &ages{most: 30 * time.Second, random: func() float64 { return tt.random }}
		if got := a.span(); (got - tt.want).Abs() > time.Microsecond {
			t.Errorf("with %v: %s, want %s", tt.random, got, tt.want)
		}
	}
}

// aging is a listener whose connections get so old.
type aging struct {
	*listener
	client *http.Client
}

// version of HTTP that a listener and its client speak.
type version struct {
	name   string
	secure bool
	number int
}

func versions() []version {
	return []version{{"h2c", false, 2}, {"h2", true, 2}, {"http/1.1", false, 1}, {"http/1.1 with TLS", true, 1}}
}

func newAging(t *testing.T, v version, c config.HTTP, handler http.Handler) *aging {
	t.Helper()
	var roots *x509.CertPool
	if v.secure {
		ca, err := authority.New("test")
		if err != nil {
			t.Fatal(err)
		}
		if roots, err = certs.Authorities(ca.PEM()); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		renew(t, ca, dir, "pod")
		c.CertificateFile, c.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	}
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", handler, c)
	if err != nil {
		t.Fatal(err)
	}
	l.atMost(100)
	l.limitAge(c, time.Now, func() float64 { return 0.5 })
	if err := l.secure(c); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	t.Cleanup(func() {
		_ = l.server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(v.number == 1)
	protocols.SetHTTP2(v.number == 2 && v.secure)
	protocols.SetUnencryptedHTTP2(v.number == 2 && !v.secure)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &aging{listener: l, client: &http.Client{Transport: transport}}
}

func (a *aging) url(path string) string {
	scheme := "http://"
	if a.server.TLSConfig != nil {
		scheme = "https://"
	}
	return scheme + a.socket.Addr().String() + path
}

// ask posts something and returns which connection it came by, as the listener sees it.
func (a *aging) ask(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url(path), strings.NewReader("an order"))
	if err != nil {
		return "", err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	return string(raw), err
}

// tellConnection answers by which connection a request came, once its body is there.
func tellConnection(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = io.WriteString(w, r.RemoteAddr)
}

func agingConfig(age, grace time.Duration) config.HTTP {
	c := config.Default().HTTP
	c.MaxConnectionAge, c.ConnectionGrace = config.Duration(age), config.Duration(grace)
	return c
}

// Callers who go on sending see nothing of it.
func TestNoRequestFailsWhileConnectionsAreReplaced(t *testing.T) {
	for _, v := range versions() {
		t.Run(v.name, func(t *testing.T) {
			a := newAging(t, v, agingConfig(50*time.Millisecond, time.Minute), http.HandlerFunc(tellConnection))
			ctx, enough := context.WithCancel(t.Context())
			var mu sync.Mutex
			seen := map[string]bool{}
			group, failed := errgroup.WithContext(t.Context())
			for range 8 {
				group.Go(func() error {
					for ctx.Err() == nil {
						connection, err := a.ask(t.Context(), "/")
						if err != nil {
							return err
						}
						mu.Lock()
						seen[connection] = true
						mu.Unlock()
					}
					return nil
				})
			}
			eventually(t, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(seen) > 10 || failed.Err() != nil
			})
			enough()
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is under way is answered, although newer requests take another connection already.
func TestARequestUnderWayOutlivesTheAgeOfItsConnection(t *testing.T) {
	for _, v := range versions() {
		t.Run(v.name, func(t *testing.T) {
			began, let := make(chan string, 1), make(chan struct{})
			mux := http.NewServeMux()
			mux.HandleFunc("/", tellConnection)
			mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
				began <- r.RemoteAddr
				<-let
				tellConnection(w, r)
			})
			a := newAging(t, v, agingConfig(50*time.Millisecond, time.Minute), mux)
			type answer struct {
				connection string
				err        error
			}
			slow := make(chan answer, 1)
			go func() {
				connection, err := a.ask(t.Context(), "/slow")
				slow <- answer{connection, err}
			}()
			old := <-began
			eventually(t, func() bool {
				connection, err := a.ask(t.Context(), "/")
				if err != nil {
					t.Fatal(err)
				}
				return connection != old
			})
			close(let)
			if got := <-slow; got.err != nil || got.connection != old {
				t.Errorf("the request on the old connection: %q, %v; want %q", got.connection, got.err, old)
			}
		})
	}
}

// What takes longer than the grace is cut off, so that nobody stays with a pod for ever.
func TestWhatOutlivesTheGraceIsCutOff(t *testing.T) {
	for _, v := range versions()[:2] {
		t.Run(v.name, func(t *testing.T) {
			ended := make(chan struct{})
			a := newAging(t, v, agingConfig(20*time.Millisecond, 20*time.Millisecond),
				http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					defer close(ended)
					<-r.Context().Done()
				}))
			if _, err := a.ask(t.Context(), "/"); err == nil {
				t.Error("a request without an end was answered")
			}
			<-ended
		})
	}
}

// A load balancer that knows only of connections: each new one goes to the next server.
func TestACallerWithOneConnectionReachesAServerThatCameLater(t *testing.T) {
	for _, v := range versions()[:1] {
		t.Run(v.name, func(t *testing.T) {
			c := agingConfig(50*time.Millisecond, time.Minute)
			answer := func(name string) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
			}
			first := newAging(t, v, c, answer("first"))
			balancer := &balancer{}
			balancer.add(first.socket.Addr().String())
			first.client.Transport.(*http.Transport).DialContext = balancer.dial
			if name, err := first.ask(t.Context(), "/"); err != nil || name != "first" {
				t.Fatalf("%q, %v", name, err)
			}
			balancer.add(newAging(t, v, c, answer("second")).socket.Addr().String())
			eventually(t, func() bool {
				name, err := first.ask(t.Context(), "/")
				if err != nil {
					t.Fatal(err)
				}
				return name == "second"
			})
		})
	}
}

// balancer connects callers to one server after the other.
type balancer struct {
	mu      sync.Mutex
	servers []string
	next    int
}

func (b *balancer) add(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = append(b.servers, address)
	// The new one is not the next.
	b.next = 0
}

// dial is a http.Transport's.
func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	b.mu.Lock()
	address := b.servers[b.next%len(b.servers)]
	b.next++
	b.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Who streams is told in time to go on with a new stream, which finds a new connection.
func TestAStreamEndsWithTheAgeOfItsConnection(t *testing.T) {
	c := agingConfig(100*time.Millisecond, time.Minute)
	c.RequestTimeout = config.Duration(time.Minute)
	s := newStreaming(t, c, time.Hour)
	s.ask(t, 1)
	old := s.local
	s.ends(t, connect.CodeUnavailable, "OVERLOADED")
	s.open(t)
	s.ask(t, 1)
	if s.local == old {
		t.Error("the new stream is on the old connection")
	}
}

// A pod that ends tells the callers of HTTP/2, whose connections it would wait for.
func TestIdleConnectionsOfHTTP2EndWithTheListener(t *testing.T) {
	for _, v := range versions()[:2] {
		t.Run(v.name, func(t *testing.T) {
			a := newAging(t, v, agingConfig(time.Hour, time.Minute), http.HandlerFunc(tellConnection))
			if _, err := a.ask(t.Context(), "/"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := shutdown(ctx, []*listener{a.listener}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAConnectionMayGetAsOldAsItLikes(t *testing.T) {
	l := &listener{server: &http.Server{}}
	l.limitAge(agingConfig(0, time.Minute), time.Now, nil)
	if l.server.TLSNextProto != nil || l.server.Handler != nil || l.server.ConnContext != nil {
		t.Error("connections are watched")
	}
}
