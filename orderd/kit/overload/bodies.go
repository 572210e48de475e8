package overload

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// firstBuffer is room for nearly every body.
	firstBuffer = 1 << 10
	// keptBuffer is the largest buffer that is used again; larger ones are for few bodies.
	keptBuffer = 16 << 10
	// bodyRetry is when a caller may come back whose body did not come in time.
	bodyRetry = time.Second
	// cameWithHead is how long a body can be that the server has already read beside the request's
	// head: it reads that much at once.
	cameWithHead = 4 << 10
)

// BodiesOptions are those of Bodies. All have to be set but Registerer.
type BodiesOptions struct {
	// MaxBytes of a body. A longer one is handed on as one whose reading fails with an
	// *http.MaxBytesError.
	MaxBytes int
	// Max is how many bodies are waited for at once.
	Max int
	// Timeout is how long a body may take from the end of the request's head to its own.
	Timeout time.Duration
	// Clock has to be the network's: deadlines of connections follow from it.
	Clock      func() time.Time
	Registerer prometheus.Registerer
}

// Bodies reads requests' bodies whole, before a gate counts the requests: whoever sends slowly, or
// nothing, waits here and takes no slot from others. It is safe for concurrent use.
//
// When as many bodies are waited for as may be, the one that is waited for the longest gives its
// place to the next. So callers who send nothing do not lock out those who do: a body that comes
// with its request's head, or a moment after it, is there before it would be its turn to go.
type Bodies struct {
	options  BodiesOptions
	refusals *refusals
	buffers  sync.Pool

	mu sync.Mutex
	// first is waited for the longest, last the least.
	first, last *waiting
	count       int

	slow, displaced prometheus.Counter
}

// waiting is a body that is being read. Its fields are its Bodies' to change, under mu.
type waiting struct {
	older, newer *waiting
	control      *http.ResponseController
	displaced    bool
}

// NewBodies makes a reader of bodies.
func NewBodies(o BodiesOptions) (*Bodies, error) {
	const name, help = "orderd_request_bodies_refused_total", "Requests that were refused because their body did " +
		"not come in time (slow), or not yet, while too many others did not come either (displaced)."
	why := func(value string) prometheus.Counter {
		return prometheus.NewCounter(
			prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"why": value}},
		)
	}
	b := &Bodies{options: o, refusals: newRefusals(), slow: why("slow"), displaced: why("displaced")}
	b.buffers.New = func() any { buffer := make([]byte, 0, firstBuffer); return &buffer }
	return b, metric.Register(o.Registerer, "the requests' bodies", b.slow, b.displaced,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "orderd_request_bodies", Help: "Bodies of requests that the pod waits for.",
		}, func() float64 {
			b.mu.Lock()
			defer b.mu.Unlock()
			return float64(b.count)
		}))
}

// Handler gives next each request with its body in memory. A request whose body does not come in
// time is answered DEADLINE_EXCEEDED, and one that has to give its place to another
// UNAVAILABLE/OVERLOADED, with a retry delay and in their protocol; what is left of a body is not
// waited for.
func (b *Bodies) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if empty(r) {
			next.ServeHTTP(w, r)
			return
		}
		body, refused := b.read(w, r)
		if refused != nil {
			closeAfterAnswer(w, r)
			b.refusals.writeError(w, r, refused)
			return
		}
		came := r.Body
		r.Body = body
		defer func() {
			r.Body = came
			_ = body.Close()
		}()
		next.ServeHTTP(w, r)
	})
}

// Unread gives next each request without its body, which the server then neither reads nor waits
// for: for requests that are going to be refused whatever is in them.
func Unread(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !empty(r) {
			drop(http.NewResponseController(w))
			if r.ContentLength < 0 || r.ContentLength > cameWithHead {
				closeAfterAnswer(w, r)
			}
			came := r.Body
			r.Body = &body{err: errUnread}
			defer func() { r.Body = came }()
		}
		next.ServeHTTP(w, r)
	})
}

var errUnread = errors.New("the body was not read")

func empty(r *http.Request) bool { return r.Body == nil || r.Body == http.NoBody }

// drop has every read from the connection fail from now on (with HTTP/2: of the stream). Without
// it the server reads what is left of a body before it sends the answer, for as long as it takes:
// with HTTP/1.1 the next request is behind it. Now it closes the connection if the body is not there
// yet. It must not be called after the body's end.
func drop(control *http.ResponseController) { _ = control.SetReadDeadline(time.Unix(1, 0)) }

// closeAfterAnswer has an HTTP/1 server close the connection behind its answer as a caller needs it
// who still sends: at first only for writing, and half a second later for reading too. Closed at
// once, the connection would be reset by what is still sent, and the caller would not see the
// answer. The server does so for a body that it found too large, and has no other way to be told.
func closeAfterAnswer(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
		_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("-")), 0).Read(make([]byte, 1))
	}
}

// read reads a body. refused is what to answer if it did not come.
func (b *Bodies) read(w http.ResponseWriter, r *http.Request) (*body, *connect.Error) {
	if r.ContentLength > int64(b.options.MaxBytes) {
		drop(http.NewResponseController(w))
		closeAfterAnswer(w, r)
		return b.tooLarge(), nil
	}
	buffer, _ := b.buffers.Get().(*[]byte)
	me := &waiting{control: http.NewResponseController(w)}
	b.enter(me)
	// Every protocol of a server has deadlines; what records answers in tests has no connection.
	_ = me.control.SetReadDeadline(b.options.Clock().Add(b.options.Timeout))
	ended, err := readUpTo(buffer, r.Body, b.options.MaxBytes)
	if displaced := b.leave(me); displaced || err != nil {
		b.free(buffer)
		return nil, b.refusal(displaced, err)
	}
	if len(*buffer) > b.options.MaxBytes {
		b.free(buffer)
		if !ended {
			drop(me.control)
			closeAfterAnswer(w, r)
		}
		return b.tooLarge(), nil
	}
	// At its end, which costs nothing: the server asks whether it was closed.
	_ = r.Body.Close()
	return &body{data: *buffer, err: io.EOF, buffer: buffer, bodies: b}, nil
}

func (b *Bodies) tooLarge() *body {
	return &body{err: &http.MaxBytesError{Limit: int64(b.options.MaxBytes)}}
}

// refusal counts why a body is not there and says what to answer.
func (b *Bodies) refusal(displaced bool, err error) *connect.Error {
	var timeout interface{ Timeout() bool }
	switch {
	case displaced:
		b.displaced.Inc()
		return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded,
			"the pod waits for the bodies of too many requests", bodyRetry)
	case errors.As(err, &timeout) && timeout.Timeout():
		b.slow.Inc()
		return rpcerr.Retry(connect.CodeDeadlineExceeded, rpcerr.ReasonDeadlineExceeded,
			"the body did not come in time; nothing was done", bodyRetry).WithCause(err)
	default:
		return rpcerr.New(connect.CodeCanceled, rpcerr.ReasonCanceled, "the body did not come").WithCause(err)
	}
}

// enter begins to wait for a body. If too many are waited for, the oldest of them has to go: its
// reading fails at once, and its handler finds that out by leave.
func (b *Bodies) enter(me *waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if oldest := b.first; b.count >= b.options.Max && oldest != nil {
		b.remove(oldest)
		oldest.displaced = true
		// Its handler cannot return meanwhile: it needs mu to leave.
		drop(oldest.control)
	}
	me.older = b.last
	if b.last != nil {
		b.last.newer = me
	} else {
		b.first = me
	}
	b.last = me
	b.count++
}

// leave tells whether the body had to give its place to another, also if it came just then: its
// connection cannot be read any more.
func (b *Bodies) leave(me *waiting) (displaced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !me.displaced {
		b.remove(me)
	}
	return me.displaced
}

func (b *Bodies) remove(w *waiting) {
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		b.first = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		b.last = w.older
	}
	w.older, w.newer = nil, nil
	b.count--
}

func (b *Bodies) free(buffer *[]byte) {
	if cap(*buffer) <= keptBuffer {
		*buffer = (*buffer)[:0]
		b.buffers.Put(buffer)
	}
}

// readUpTo appends all of a body to the buffer, or a byte more than most of a longer one, and tells
// whether that was its end.
func readUpTo(buffer *[]byte, from io.Reader, most int) (ended bool, err error) {
	data := *buffer
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := from.Read(data[len(data):min(cap(data), most+1)])
		data = data[:len(data)+n]
		*buffer = data
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil || len(data) > most:
			return false, err
		}
	}
}

// body is one that was read: its data, then err.
type body struct {
	data []byte
	err  error
	// buffer has the data, and goes back to bodies.
	buffer *[]byte
	bodies *Bodies
}

// Read is io.Reader's.
func (b *body) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, b.err
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	if len(b.data) == 0 && errors.Is(b.err, io.EOF) {
		return n, io.EOF
	}
	return n, nil
}

// Close frees what the body takes. Nothing can be read after it.
func (b *body) Close() error {
	if b.buffer != nil {
		b.bodies.free(b.buffer)
		b.data, b.buffer, b.err = nil, nil, http.ErrBodyReadAfterClose
	}
	return nil
}
