package overload

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// grain of the retry delays: there is an answer made for each, so that a refusal costs no encoding.
const grain = 20 * time.Millisecond

// kinds of answers, by the protocol of the request.
const (
	unary = iota
	grpc
	grpcWeb
	kinds
)

// contentTypes are requests' that stand for their kind. What is none of these two is answered as
// a unary call of Connect's: its errors are JSON whatever the request was, and say what they say
// to a person as well.
var contentTypes = [kinds]string{
	unary:   "application/json",
	grpc:    "application/grpc+proto",
	grpcWeb: "application/grpc-web+proto",
}

// refusals are answers that are made once.
type refusals struct {
	writer *connecthttp.ErrorWriter
	made   [kinds][int((soonest+wide)/grain) + 2]atomic.Pointer[answer]
}

func newRefusals() *refusals { return &refusals{writer: connecthttp.NewErrorWriter()} }

// answer is what is sent, as a handler writes it.
type answer struct {
	status          int
	header, trailer http.Header
	body            []byte
}

// kindOf is the kind of answer that a request's caller reads.
func kindOf(request *http.Request) int {
	contentType := request.Header["Content-Type"]
	switch {
	case len(contentType) != 1 || !strings.HasPrefix(contentType[0], "application/grpc"):
		return unary
	case strings.HasPrefix(contentType[0], "application/grpc-web"):
		return grpcWeb
	default:
		return grpc
	}
}

// write refuses a request for overload.
func (r *refusals) write(w http.ResponseWriter, request *http.Request, after time.Duration) {
	kind := kindOf(request)
	r.answer(kind, after).write(w, request, kind)
}

// writeError refuses a request for another reason.
func (r *refusals) writeError(w http.ResponseWriter, request *http.Request, err *connect.Error) {
	kind := kindOf(request)
	r.make(kind, err).write(w, request, kind)
}

func (a *answer) write(w http.ResponseWriter, request *http.Request, kind int) {
	header := w.Header()
	for k, v := range a.header {
		header[k] = v
	}
	if kind != unary {
		header["Content-Type"] = request.Header["Content-Type"]
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		_, _ = w.Write(a.body)
	}
	for k, v := range a.trailer {
		header[k] = v
	}
}

// answer of a kind that asks for a delay.
func (r *refusals) answer(kind int, after time.Duration) *answer {
	place := &r.made[kind][min(int(after/grain), len(r.made[kind])-1)]
	if a := place.Load(); a != nil {
		return a
	}
	a := r.make(kind, rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded,
		"the pod works on as many requests as it can", after/grain*grain))
	place.Store(a)
	return a
}

// make has Connect's own writer write the error, and keeps what it wrote.
func (r *refusals) make(kind int, err *connect.Error) *answer {
	request := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {contentTypes[kind]}}}
	recorder := &recorder{header: http.Header{}}
	// It writes to memory, which does not fail.
	_ = r.writer.Write(recorder, request, err)
	a := &answer{status: recorder.status, header: recorder.sent, trailer: http.Header{}, body: recorder.body.Bytes()}
	for k, v := range recorder.header {
		if _, sent := a.header[k]; !sent {
			a.trailer[k] = v
		}
	}
	if after, ok := rpcerr.RetryAfter(err); ok {
		// Whole seconds, by RFC 9110, section 10.2.3.
		a.header["Retry-After"] = []string{strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10)}
	}
	a.header["Cache-Control"] = []string{"no-store"}
	if kind == unary {
		a.header["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	return a
}

// recorder keeps a response, and which of its headers were sent before its body.
type recorder struct {
	status       int
	header, sent http.Header
	body         bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status, r.sent = status, r.header.Clone() }

func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
