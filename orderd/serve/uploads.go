package serve

import (
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1/bulkv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// maxUpload bounds a request that has a file, in any encoding.
	maxUpload = 4 << 20
	// maxUploads are read or worked on at once: with what is made of them they take a hundred MiB or so.
	maxUploads = 4
	// uploadTimeout is how long such a body may take from the end of the request's head to its own: no longer than the
	// server's time-outs leave to the answer.
	uploadTimeout = 10 * time.Second
	// uploadRetry is when a caller may come back who found all places taken.
	uploadRetry = time.Second
)

// hasFile are the RPCs whose requests have a file.
var hasFile = map[string]bool{bulkv1connect.BulkServiceCreateJobProcedure: true}

// uploads reads the bodies of requests that have a file, which are larger than all others and few.
type uploads struct {
	bodies *overload.Bodies
	places chan struct{}
}

func newUploads(clock func() time.Time) (*uploads, error) {
	// Its metrics would have the names of the other bodies' ones.
	bodies, err := overload.NewBodies(overload.BodiesOptions{
		MaxBytes: maxUpload, Max: maxUploads, Timeout: uploadTimeout, Clock: clock,
	})
	if err != nil {
		return nil, err
	}
	return &uploads{bodies: bodies, places: make(chan struct{}, maxUploads)}, nil
}

// handler gives next a request with its body in memory, and no more of them at once than there are places. Who has a
// place keeps it: a large body takes a while, and the next one must not make it begin anew.
func (u *uploads) handler(next http.Handler) http.Handler {
	refusing := connecthttp.NewErrorWriter()
	read := u.bodies.Handler(next)
	refused := overload.Unread(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Whoever it cannot be written to has gone.
		_ = refusing.Write(w, r, rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded,
			"the pod works on as many files as it can", uploadRetry))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case u.places <- struct{}{}:
			defer func() { <-u.places }()
			read.ServeHTTP(w, r)
		default:
			refused.ServeHTTP(w, r)
		}
	})
}

// limits are the options of RPCs whose messages may be larger than http.maxBodyBytes.
func limits(spec connect.Spec) []connecthttp.Option {
	if hasFile[spec.Procedure] {
		return []connecthttp.Option{connecthttp.WithReadMaxBytes(maxUpload)}
	}
	return streamOptions(spec)
}
