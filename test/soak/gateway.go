package main

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// answer is what the gateway does with a request instead of passing it on.
type answer string

const (
	// passed on to the API server.
	passed answer = "passed"
	// conflict, refusal, quota, busy and failure are what an API server answers.
	conflict answer = "conflict"
	refusal  answer = "refusal"
	quota    answer = "quota"
	busy     answer = "busy"
	failure  answer = "failure"
	// hang answers after a while that it was too late.
	hang answer = "hang"
	// lost is done by the API server, and nobody hears of it.
	lost answer = "lost"
	// cutOff ends the connection before anything is done.
	cutOff answer = "cut off"
)

// hangTime is how long a request hangs.
const hangTime = 3 * time.Second

// gateway is how the operators reach the API server: over plain HTTP on a loopback port, with the operator's own
// rights. It passes everything on, or answers as an API server in trouble does.
type gateway struct {
	url    string
	server *http.Server

	mu sync.Mutex
	// mu guards what follows. Of all requests, share are answered as one of answers.
	random  *rand.Rand
	share   float64
	answers []answer
	// stale is closed when watches go on; nil: they do.
	stale chan struct{}
}

func newGateway(config *rest.Config, seed uint64) (*gateway, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{
		url: "http://" + listener.Addr().String(), random: rand.New(rand.NewPCG(seed, 1)),
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = "" },
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: g.watched,
		// Operators that die leave their requests behind.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	g.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, proxy) }),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = g.server.Serve(listener) }()
	return g, nil
}

func (g *gateway) stop() {
	g.fair()
	_ = g.server.Close()
}

// trouble answers a share of the requests as one of the answers, until fair.
func (g *gateway) trouble(share float64, answers ...answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.share, g.answers = share, answers
}

// hold keeps what watches would tell, so that caches grow old, until fair.
func (g *gateway) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stale == nil {
		g.stale = make(chan struct{})
	}
}

// fair passes everything on from now on.
func (g *gateway) fair() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.share = 0
	if g.stale != nil {
		close(g.stale)
		g.stale = nil
	}
}

// choose what becomes of a request. Leases are left alone: who leads is decided by killing and pausing operators.
func (g *gateway) choose(r *http.Request) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := passed
	if g.share > 0 && !strings.Contains(r.URL.Path, "/leases") && g.random.Float64() < g.share {
		a = g.answers[g.random.IntN(len(g.answers))]
	}
	reads := r.Method == http.MethodGet
	if reads && (a == conflict || a == quota || a == lost) {
		// Nobody gets these for having read something.
		a = failure
	}
	return a
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request, proxy http.Handler) {
	resource := schema.GroupResource{Resource: "things"}
	switch g.choose(r) {
	case passed:
		proxy.ServeHTTP(w, r)
	case conflict:
		refuse(w, apierrors.NewConflict(resource, "thing", errors.New("somebody else wrote it")))
	case refusal:
		refuse(w, apierrors.NewForbidden(resource, "thing", errors.New("policy says no")))
	case quota:
		refuse(w, apierrors.NewForbidden(resource, "thing",
			errors.New("exceeded quota: team, requested: limits.memory=1Gi, limited: limits.memory=8Gi")))
	case busy:
		refuse(w, apierrors.NewTooManyRequests("too many requests", 1))
	case failure:
		refuse(w, apierrors.NewInternalError(errors.New("etcd has no leader")))
	case hang:
		wait := time.NewTimer(hangTime)
		defer wait.Stop()
		select {
		case <-wait.C:
			refuse(w, apierrors.NewTimeoutError("it took too long", 0))
		case <-r.Context().Done():
		}
	case lost:
		proxy.ServeHTTP(&nowhere{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case cutOff:
		panic(http.ErrAbortHandler)
	}
}

func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	w.Header().Set("Content-Type", "application/json")
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status)
}

// watched lets a watch's answer be held.
func (g *gateway) watched(r *http.Response) error {
	if r.Request.URL.Query().Get("watch") == "true" {
		r.Body = &watch{ReadCloser: r.Body, gateway: g, done: r.Request.Context().Done()}
	}
	return nil
}

type watch struct {
	io.ReadCloser
	gateway *gateway
	done    <-chan struct{}
}

// Read waits while watches are held.
func (w *watch) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.gateway.mu.Lock()
	stale := w.gateway.stale
	w.gateway.mu.Unlock()
	if stale != nil {
		select {
		case <-stale:
		case <-w.done:
		}
	}
	return n, err
}

// nowhere takes an answer that nobody hears.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header { return n.header }

func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

func (n *nowhere) WriteHeader(int) {}
