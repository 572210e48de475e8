package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// callBound calls a unary RPC, which may take a minute, with a parent context. Handle gets
// what its handler would.
func callBound(parent context.Context, t *testing.T, procedure string, handle func(context.Context)) {
	t.Helper()
	bound := stack{http: config.HTTP{RequestTimeout: config.Duration(time.Minute)}}.bound()
	spec := connect.Spec{StreamType: connect.StreamTypeUnary, Procedure: procedure}
	err := bound(func(ctx context.Context, _ connect.Spec, _ connect.ServerStream) error {
		handle(ctx)
		return nil
	})(parent, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
}

type parentKey struct{}

// wantEnd wants that a context, and what is derived from it, ends at a moment, not
// before, and with the error.
func wantEnd(ctx context.Context, t *testing.T, end time.Time, want error) {
	t.Helper()
	below, cancel := context.WithCancel(ctx)
	defer cancel()
	if time.Now().Before(end) {
		select {
		case <-ctx.Done():
			t.Error("done before its time")
		default:
		}
		if ctx.Err() != nil || below.Err() != nil {
			t.Errorf("before its time: %v, %v", ctx.Err(), below.Err())
		}
	}
	<-below.Done()
	<-ctx.Done()
	if now := time.Now(); now.Sub(end).Abs() > 0 {
		t.Errorf("ended %s late", now.Sub(end))
	}
	if !errors.Is(below.Err(), want) || !errors.Is(ctx.Err(), want) || !errors.Is(context.Cause(ctx), want) {
		t.Errorf("after its time: %v, %v, cause %v; want %v", below.Err(), ctx.Err(), context.Cause(ctx), want)
	}
	if below.Value(parentKey{}) != "value" {
		t.Error("the parent's value is lost")
	}
}

// What is below a request's context may rest on it: it keeps what contexts promise.
func TestTimeout(t *testing.T) {
	const (
		bounded = orderv1connect.OrderServicePlaceOrderProcedure
		ownTime = flashv1connect.FlashServicePlaceFlashOrderProcedure
	)
	const never = time.Duration(0)
	tests := []struct {
		name      string
		procedure string
		// deadline is how long the caller waits, and leaves when the caller goes away; 0: never.
		deadline, leaves time.Duration
		// wantDeadline is the context's; 0: none. It ends after ends, with want.
		wantDeadline, ends time.Duration
		want               error
	}{
		{"takes too long", bounded, never, never, time.Minute, time.Minute, context.DeadlineExceeded},
		{"the caller's deadline is earlier", bounded, time.Second, never, time.Second, time.Second, context.DeadlineExceeded},
		{"the caller's deadline is later", bounded, time.Hour, never, time.Minute, time.Minute, context.DeadlineExceeded},
		{"the caller's deadline has passed", bounded, -time.Second, never, -time.Second, 0, context.DeadlineExceeded},
		{"the caller goes away", bounded, never, time.Second, time.Minute, time.Second, context.Canceled},
		{"keeps its own time, caller away", ownTime, never, time.Hour, never, time.Hour, context.Canceled},
		{"keeps its own time, caller's deadline", ownTime, time.Hour, never, time.Hour, time.Hour, context.DeadlineExceeded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), parentKey{}, "value"))
				defer cancel()
				if test.leaves > 0 {
					time.AfterFunc(test.leaves, cancel)
				}
				if test.deadline != 0 {
					var cancel context.CancelFunc
					parent, cancel = context.WithTimeout(parent, test.deadline)
					defer cancel()
				}
				var kept context.Context
				callBound(parent, t, test.procedure, func(ctx context.Context) {
					kept = ctx
					deadline, ok := ctx.Deadline()
					if ok != (test.wantDeadline != 0) || ok && !deadline.Equal(began.Add(test.wantDeadline)) {
						t.Errorf("the deadline is %s away, %t; want %s", deadline.Sub(began), ok, test.wantDeadline)
					}
					wantEnd(ctx, t, began.Add(test.ends), test.want)
				})
				if kept.Err() == nil {
					t.Error("the context goes on after its end")
				}
			})
		})
	}
}

func TestARequestsContextEndsWithIt(t *testing.T) {
	var kept context.Context
	callBound(t.Context(), t, orderv1connect.OrderServicePlaceOrderProcedure, func(ctx context.Context) { kept = ctx })
	select {
	case <-kept.Done():
	default:
		t.Error("the context goes on after its end")
	}
	if !errors.Is(kept.Err(), context.Canceled) {
		t.Errorf("ended with %v, want %v", kept.Err(), context.Canceled)
	}
}
