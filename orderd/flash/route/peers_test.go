package route

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// What came back from another pod means the same, whichever way it came.
func TestWhatAnotherPodsErrorMeans(t *testing.T) {
	const moving, notOwner = rpcerr.ReasonPartitionMoving, rpcerr.ReasonNotOwner
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	soldOut := rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonSoldOut, "sold out")
	ofTheFuture := &flashv1.FlashOrderRefusal{Code: "new", Reason: "NEW"}
	tests := []struct {
		name string
		err  error
		// want is the reason that the caller hears, and code with it; no reason: none.
		want string
		code connect.Code
	}{
		{"nothing", nil, "", 0},
		{"a refusal of a call stream's", refusal.FromMessage(refusal.SoldOut("a", 2).Message()),
			rpcerr.ReasonSoldOut, connect.CodeResourceExhausted},
		{"a refusal of a call's", soldOut, rpcerr.ReasonSoldOut, connect.CodeResourceExhausted},
		{"a refusal of a version to come", refusal.FromMessage(ofTheFuture), "NEW", connect.CodeInternal},
		{"not the owner", refusal.NotOwner(), notOwner, connect.CodeFailedPrecondition},
		{"nobody there", fmt.Errorf("calling: %w", dial), notOwner, connect.CodeFailedPrecondition},
		{"a call that broke", &net.OpError{Op: "read", Err: io.EOF}, moving, connect.CodeUnavailable},
		{"not sent", fmt.Errorf("%w: broken", streamclient.ErrNotSent), notOwner, connect.CodeFailedPrecondition},
		{"too much on the way", streamclient.ErrFull, rpcerr.ReasonOverloaded, connect.CodeUnavailable},
		{"unanswered", streamclient.ErrUnknown, moving, connect.CodeUnavailable},
		{"a pod's mistake", rpcerr.Internal(errors.New("a driver's words")), moving, connect.CodeUnavailable},
		{"no answer at all", refusal.FromMessage(nil), moving, connect.CodeUnavailable},
		{"no reason", connect.NewError(connect.CodeUnavailable, "a proxy's words"), moving, connect.CodeUnavailable},
	}
	r := &Router{jitter: func(d time.Duration) time.Duration { return d }, log: slog.New(slog.DiscardHandler)}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := r.fromPeer(test.err)
			if (got == nil) != (test.err == nil) {
				t.Fatalf("became %v", got)
			}
			if got == nil {
				return
			}
			if rpcerr.Reason(got) != test.want || connect.CodeOf(got) != test.code {
				t.Errorf("became %v with reason %q, want %s and %q", got, rpcerr.Reason(got), test.code, test.want)
			}
			var own *connect.Error
			if !errors.As(got, &own) || own.IsRemote() {
				t.Errorf("%v would not be answered as it is", got)
			}
		})
	}
}
