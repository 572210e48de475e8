package messaging_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

func TestPerCallHidesTheDeadlineAndEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		outer, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Minute)
		defer cancel()
		ctx := messaging.PerCall(outer)
		if _, ok := ctx.Deadline(); ok || ctx.Value(key{}) != "value" {
			t.Errorf("a deadline: %v, the value: %v", ok, ctx.Value(key{}))
		}
		call, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		begun := time.Now()
		<-call.Done()
		if took := time.Since(begun); took != time.Minute || !errors.Is(call.Err(), context.DeadlineExceeded) {
			t.Errorf("a call ended after %s: %v", took, call.Err())
		}
	})
}
