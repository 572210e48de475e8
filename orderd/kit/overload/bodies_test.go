package overload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const mostBytes = 100

func newBodies(t *testing.T, o BodiesOptions) *Bodies {
	t.Helper()
	o.Clock = time.Now
	if o.MaxBytes == 0 {
		o.MaxBytes = mostBytes
	}
	if o.Max == 0 {
		o.Max = 10
	}
	if o.Timeout == 0 {
		o.Timeout = time.Hour
	}
	b, err := NewBodies(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hidden is a body whose length is not known.
type hidden struct{ io.Reader }

func TestBodiesAreReadWhole(t *testing.T) {
	long := strings.Repeat("x", mostBytes+1)
	tooLarge := (&http.MaxBytesError{}).Error()
	of := func(text string) io.Reader { return strings.NewReader(text) }
	unknown := func(text string) io.Reader { return hidden{strings.NewReader(text)} }
	for _, tt := range []struct {
		name, body string
		reader     func(string) io.Reader
		want       string
	}{
		{"empty", "", of, ""},
		{"short", "short", of, "short"},
		{"short, of unknown length", "short", unknown, "short"},
		{"as large as may be", long[1:], of, long[1:]},
		{"as large as may be, of unknown length", long[1:], unknown, long[1:]},
		{"too large", long, of, tooLarge},
		{"too large, of unknown length", long, unknown, tooLarge},
		{"much too large, of unknown length", strings.Repeat(long, 10_000), unknown, tooLarge},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(tt.name+" by "+protocol, func(t *testing.T) {
				s := httptest.NewUnstartedServer(newBodies(t, BodiesOptions{}).Handler(http.HandlerFunc(
					func(w http.ResponseWriter, r *http.Request) {
						got, err := io.ReadAll(r.Body)
						if err != nil {
							got = []byte(err.Error())
						}
						if err := r.Context().Err(); err != nil || r.Proto != protocol {
							got = fmt.Appendf(nil, "%s, %v", r.Proto, err)
						}
						_, _ = w.Write(got)
					})))
				s.EnableHTTP2 = protocol == "HTTP/2.0"
				s.StartTLS()
				defer s.Close()
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, tt.reader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				response, err := s.Client().Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				got, err := io.ReadAll(response.Body)
				if err != nil || string(got) != tt.want {
					t.Errorf("the handler read %q, %v; want %q", got, err, tt.want)
				}
			})
		}
	}
}

// Whoever still sends when the answer comes reads it to its end: the connection is not reset.
func TestAnAnswerReachesWhoStillSends(t *testing.T) {
	refused := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the body was read")
		}
		w.WriteHeader(http.StatusTeapot)
	}
	const sent = 64 << 10
	for _, tt := range []struct {
		name, head string
		handler    http.Handler
		status     int
	}{
		{
			"too large", fmt.Sprintf("Content-Length: %d", 2*sent),
			newBodies(t, BodiesOptions{}).Handler(http.HandlerFunc(refused)), http.StatusTeapot,
		},
		{
			"too large, of unknown length", "Transfer-Encoding: chunked",
			newBodies(t, BodiesOptions{}).Handler(http.HandlerFunc(refused)), http.StatusTeapot,
		},
		{
			"slow", fmt.Sprintf("Content-Length: %d", 2*sent),
			newBodies(t, BodiesOptions{MaxBytes: 4 * sent, Timeout: time.Nanosecond}).Handler(http.HandlerFunc(refused)),
			http.StatusGatewayTimeout,
		},
		{
			"unread", fmt.Sprintf("Content-Length: %d", 2*sent), Unread(http.HandlerFunc(refused)), http.StatusTeapot,
		},
		{
			"unread, of unknown length", "Transfer-Encoding: chunked",
			Unread(http.HandlerFunc(refused)), http.StatusTeapot,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.handler)
			defer s.Close()
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			// What is sent is there before the head is read whole, and not all of the body is sent.
			if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n%s\r\n\r\n"+
				"%x\r\n%s", tt.head, 2*sent, strings.Repeat("x", sent)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", tt.status)) {
				t.Errorf("the answer was %q, %v; want the status %d", answer, err, tt.status)
			}
		})
	}
}

// A body cannot be read by who keeps it, when its buffer has another's.
func TestABodyEndsWithItsRequest(t *testing.T) {
	b := newBodies(t, BodiesOptions{})
	var kept io.ReadCloser
	b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept = r.Body })).ServeHTTP(
		httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("secret")))
	if got, err := io.ReadAll(kept); len(got) > 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("read %q, %v", got, err)
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
}

// slow is a connection whose request's body does not come.
type slow struct {
	*httptest.ResponseRecorder
	waited, dead chan struct{}
	once         sync.Once
}

func newSlow() *slow {
	return &slow{
		ResponseRecorder: httptest.NewRecorder(), waited: make(chan struct{}), dead: make(chan struct{}),
	}
}

func (s *slow) SetReadDeadline(at time.Time) error {
	if at.Before(time.Now()) {
		close(s.dead)
	}
	return nil
}

func (s *slow) Read([]byte) (int, error) {
	s.once.Do(func() { close(s.waited) })
	<-s.dead
	return 0, os.ErrDeadlineExceeded
}

func (*slow) Close() error { return nil }

// Of more bodies than may be waited for, those go that were waited for the longest.
func TestTheOldestBodyGivesItsPlace(t *testing.T) {
	const most, all = 3, 8
	b := newBodies(t, BodiesOptions{Max: most})
	handler := b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let in") }))
	var callers [all]*slow
	var ended [all]chan struct{}
	for i := range callers {
		callers[i], ended[i] = newSlow(), make(chan struct{})
		go func() {
			handler.ServeHTTP(callers[i], httptest.NewRequest(http.MethodPost, "/", callers[i]))
			close(ended[i])
		}()
		<-callers[i].waited
		if i < most {
			continue
		}
		gone := callers[i-most]
		<-ended[i-most]
		if gone.Code != http.StatusServiceUnavailable || !strings.Contains(gone.Body.String(), "unavailable") ||
			gone.Header().Get("Retry-After") != "1" || gone.Header().Get("Connection") != "close" {
			t.Errorf("the oldest was answered %d %v %s", gone.Code, gone.Header(), gone.Body)
		}
	}
	// One whose body is there passes all of them, and takes the place of another for that moment.
	passed := false
	b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(
		httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("here")))
	if !passed {
		t.Error("a request with its body was refused")
	}
	<-ended[all-most]
	for i := all - most + 1; i < all; i++ {
		close(callers[i].dead)
		<-ended[i]
		if callers[i].Code != http.StatusGatewayTimeout {
			t.Errorf("a slow body was answered %d %s", callers[i].Code, callers[i].Body)
		}
	}
	if b.first != nil || b.last != nil || b.count != 0 {
		t.Errorf("%d bodies are still waited for", b.count)
	}
}

// head is a request whose body does not come.
const head = "POST / HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"

// exchange sends something on a connection of its own and returns the answer's status, and whether
// the connection was closed after it.
func exchange(t *testing.T, s *httptest.Server, sent string) (status int, closed bool) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if !response.Close {
		return response.StatusCode, false
	}
	_, err = reader.ReadByte()
	return response.StatusCode, errors.Is(err, io.EOF)
}

// Nothing here has a time-out but what is tested: a refusal that waited for the body would never come.
func TestARefusedBodyIsNotWaitedFor(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.Body.Close()
		w.WriteHeader(http.StatusUnauthorized)
	})
	type facts struct {
		Status int
		Closed bool
	}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		sent    string
		want    facts
	}{
		{"unread, and it does not come", Unread(refuse), head, facts{401, true}},
		{"unread, and it came", Unread(refuse), head + strings.Repeat("x", 50), facts{401, false}},
		{
			"too slow", newBodies(t, BodiesOptions{Timeout: 10 * time.Millisecond}).Handler(refuse), head,
			facts{504, true},
		},
		{
			"too large", newBodies(t, BodiesOptions{}).Handler(refuse), strings.Replace(head, "50", "50000", 1),
			facts{401, true},
		},
		{
			"too large, of unknown length", newBodies(t, BodiesOptions{}).Handler(refuse),
			strings.Replace(head, "Content-Length: 50", "Transfer-Encoding: chunked", 1) + "ff\r\n" + strings.Repeat("x", 255),
			facts{401, true},
		},
		{
			"there, then refused", newBodies(t, BodiesOptions{}).Handler(refuse), head + strings.Repeat("x", 50),
			facts{401, false},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.handler)
			defer s.Close()
			var got facts
			got.Status, got.Closed = exchange(t, s, tt.sent)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// What the gate refuses does not keep its body while the refusal is delayed.
func TestARefusedRequestHasNoBody(t *testing.T) {
	g := newGate(t, Options{Max: 1, Lowest: 1})
	if !g.enter() {
		t.Fatal("the first request was refused")
	}
	b := newBodies(t, BodiesOptions{})
	var seen io.Reader
	w := &onHeader{ResponseRecorder: httptest.NewRecorder()}
	refused := g.Handler(http.NotFoundHandler())
	handler := b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = r.Body
		refused.ServeHTTP(w, r)
	}))
	w.then = func() {
		if _, err := seen.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("when it is refused, its body can be read: %v", err)
		}
	}
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("order")))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

// onHeader calls then before the header of an answer is written.
type onHeader struct {
	*httptest.ResponseRecorder
	then func()
}

func (o *onHeader) WriteHeader(status int) {
	o.then()
	o.ResponseRecorder.WriteHeader(status)
}
