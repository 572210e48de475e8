//go:build linux

package cluster_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// pin is a line of releases.tsv but for its platform.
type pin struct{ name, module, version, sha, address, members string }

func lines(pins []pin, platform string) string {
	text := "# a comment\n"
	for _, p := range pins {
		fields := []string{p.name, platform, p.module, p.version, p.sha, "https://" + p.address, p.members}
		text += strings.Join(fields, "\t") + "\n"
	}
	return text
}

// releases stands for all hosts that programs are fetched from: /HOST/PATH is https://HOST/PATH.
type releases struct {
	server *httptest.Server

	mu    sync.Mutex
	files map[string]http.HandlerFunc
	paths []string
}

func newReleases(t *testing.T) *releases {
	s := &releases{files: map[string]http.HandlerFunc{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// ServeHTTP answers 404 for what is not served.
func (s *releases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.paths = append(s.paths, r.Method+" "+r.URL.Path)
	answer, ok := s.files[strings.TrimPrefix(r.URL.Path, "/")]
	s.mu.Unlock()
	if !ok {
		answer = http.NotFound
	}
	answer(w, r)
}

func (s *releases) serve(address string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[address] = answer
}

func (s *releases) env() string { return "ORDERD_RELEASES=" + s.server.URL }

// asked is what was asked for until now.
func (s *releases) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.paths)
}

func whole(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// half promises all of it, and hangs up in the middle.
func half(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// silent takes the request and says nothing until the other side hangs up.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// archive has files that say "released" and their name.
func archive(t *testing.T, members ...string) string {
	t.Helper()
	var buffer bytes.Buffer
	packed := gzip.NewWriter(&buffer)
	w := tar.NewWriter(packed)
	for _, name := range members {
		body := "released " + name
		header := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o700, Size: int64(len(body)), Uid: 1001, Gid: 127}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	for _, closer := range []io.Closer{w, packed} {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buffer.String()
}
