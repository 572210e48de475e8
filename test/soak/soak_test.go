package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

func TestWhatDiffersFromPlaceToPlaceIsNotCompared(t *testing.T) {
	in := func(namespace, nats, hash, label string) map[string]any {
		p := &place{namespace: namespace, messaging: &pipe{address: nats}}
		o := unstructured.Unstructured{Object: map[string]any{
			"kind": "ConfigMap",
			"metadata": map[string]any{
				"name": "shop-flash-" + hash, "uid": namespace, "resourceVersion": nats,
				"labels":      map[string]any{"app": label},
				"annotations": map[string]any{"orderd.dev/config-hash": hash},
			},
			"data":   map[string]any{"url": "nats://" + nats, "peer": "shop-flash." + namespace + ".svc"},
			"status": map[string]any{"of": namespace},
		}}
		got, err := normal(p, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	one := in("soak-a", "127.0.0.1:1", "0123456789", "shop")
	if diff := cmp.Diff(one, in("soak-b", "127.0.0.1:2", "abcdef0123", "shop")); diff != "" {
		t.Errorf("places differ:\n%s", diff)
	}
	if cmp.Diff(one, in("soak-a", "127.0.0.1:1", "0123456789", "blog")) == "" {
		t.Error("another label is not seen")
	}
}

func TestOnlySalesThatGoOnAreCompared(t *testing.T) {
	for name, test := range map[string]struct {
		phase v1alpha1.PromotionPhase
		left  time.Duration
		want  bool
	}{
		"live":             {v1alpha1.PhaseLive, time.Minute, true},
		"about to end":     {v1alpha1.PhaseLive, time.Second, false},
		"being settled":    {v1alpha1.PhaseDraining, time.Minute, false},
		"not prepared yet": {v1alpha1.PhaseScheduled, time.Hour, true},
	} {
		p := &v1alpha1.PromotionEvent{}
		p.Spec.EndTime, p.Status.Phase = metav1.NewTime(time.Now().Add(test.left)), test.phase
		if got := goesOn(p); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestWhatGrowsIsALeak(t *testing.T) {
	first := figures{goroutines: 300, files: 50, databases: 8, messaging: 2}
	for name, test := range map[string]struct {
		got  figures
		want string
	}{
		"as before":          {first, ""},
		"a little more":      {figures{320, 60, 16, 4}, ""},
		"goroutines":         {figures{451, 50, 8, 2}, "goroutines"},
		"files":              {figures{300, 111, 8, 2}, "open files"},
		"database":           {figures{300, 50, 17, 2}, "connections to one database"},
		"NATS":               {figures{300, 50, 8, 5}, "connections to one NATS"},
		"less is no problem": {figures{1, 1, 0, 0}, ""},
	} {
		err := test.got.exceed(first)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheGatewayAnswersAsItIsTold(t *testing.T) {
	served := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { served <- r.URL.Path }))
	defer server.Close()
	g, err := newGateway(&rest.Config{Host: server.URL}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer g.stop()
	send := func(method, path string) (int, string, error) {
		req, err := http.NewRequestWithContext(context.Background(), method, g.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), err
	}
	for _, test := range []struct {
		answer       answer
		method, path string
		code         int
		words        string
		broken, done bool
	}{
		{passed, http.MethodPut, "/things/1", 200, "", false, true},
		{conflict, http.MethodPut, "/things/2", 409, "somebody else wrote it", false, false},
		{conflict, http.MethodGet, "/things/3", 500, "etcd has no leader", false, false},
		{quota, http.MethodPost, "/things/4", 403, "exceeded quota", false, false},
		{busy, http.MethodPost, "/things/5", 429, "too many", false, false},
		{lost, http.MethodPut, "/things/6", 0, "", true, true},
		{cutOff, http.MethodPut, "/things/7", 0, "", true, false},
		{conflict, http.MethodPut, "/leases/8", 200, "", false, true},
	} {
		g.trouble(1, test.answer)
		code, body, err := send(test.method, test.path)
		if code != test.code || !strings.Contains(body, test.words) || (err != nil) != test.broken {
			t.Errorf("%s of %s: %d %q %v", test.answer, test.path, code, body, err)
		}
		got := false
		select {
		case <-served:
			got = true
		default:
		}
		if got != test.done {
			t.Errorf("%s of %s: done: %t", test.answer, test.path, got)
		}
	}
}

// echoing is a pipe to a server that says what it hears.
func echoing(t *testing.T) *pipe {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	p, err := newPipe(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

func TestConnectionsBetweenCheckpointsAreSeen(t *testing.T) {
	p := &place{database: echoing(t), messaging: echoing(t)}
	w := &walk{places: []*place{p}}
	open := func(to *pipe) net.Conn {
		conn, err := net.Dial("tcp", to.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		// Once it was answered it is counted.
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err = conn.Write([]byte("x")); err == nil {
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	check := func(databases, messaging int) {
		t.Helper()
		got, err := w.figures(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(figures{0, 0, databases, messaging}, got, cmp.AllowUnexported(figures{})); diff != "" {
			t.Errorf("figures (-want +got):\n%s", diff)
		}
	}
	open(p.database)
	for _, conn := range []net.Conn{open(p.database), open(p.database)} {
		_ = conn.Close()
	}
	if err := within(t.Context(), func() error {
		if n := p.database.count(); n != 1 {
			return fmt.Errorf("%d connections are open, want 1", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check(3, 0)
	check(1, 0)
	open(p.messaging)
	check(1, 1)
	if got := p.unneeded(true); len(got) > 0 {
		t.Errorf("with an OrderCluster: %q", got)
	}
	open(p.messaging)
	want := []string{"operators have 2 connections to its NATS, and need 1"}
	if diff := cmp.Diff(want, p.unneeded(true)); diff != "" {
		t.Errorf("with an OrderCluster (-want +got):\n%s", diff)
	}
	want = []string{
		"operators have 1 connections to its database, and need 0", "operators have 2 connections to its NATS, and need 0",
	}
	if diff := cmp.Diff(want, p.unneeded(false)); diff != "" {
		t.Errorf("without one (-want +got):\n%s", diff)
	}
}

func TestAPipeIsCutAndHeals(t *testing.T) {
	p := echoing(t)
	echo := func(patience time.Duration) error {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err = conn.Write([]byte("x")); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err
	}
	const long = time.Minute
	if err := echo(long); err != nil {
		t.Fatal(err)
	}
	p.cut()
	if err := echo(long); err == nil {
		t.Error("a pipe that is cut passes bytes on")
	}
	p.fair()
	if err := echo(long); err != nil {
		t.Error("it does not heal: ", err)
	}
	p.stuff()
	var slow net.Error
	if err := echo(100 * time.Millisecond); !errors.As(err, &slow) || !slow.Timeout() {
		t.Errorf("a pipe that is stuffed: %v", err)
	}
	p.fair()
	if err := echo(long); err != nil {
		t.Error("it does not heal: ", err)
	}
}
