package serve

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestTimeout(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	defer cancel()

	short := withTimeout(parent, time.Millisecond)
	defer short.end()
	below, cancelBelow := context.WithCancel(short)
	defer cancelBelow()
	<-below.Done()
	if !errors.Is(below.Err(), context.DeadlineExceeded) || !errors.Is(short.Err(), context.DeadlineExceeded) {
		t.Errorf("after the time: %v, %v; want DeadlineExceeded", below.Err(), short.Err())
	}
	if below.Value(key{}) != "value" {
		t.Error("the parent's value is lost")
	}

	long := withTimeout(parent, time.Hour)
	defer long.end()
	if err := long.Err(); err != nil {
		t.Errorf("before the time: %v", err)
	}
	if deadline, ok := withTimeout(long, 2*time.Hour).Deadline(); !ok || time.Until(deadline) > time.Hour {
		t.Errorf("the deadline is %s, %t; want the parent's, which is earlier", deadline, ok)
	}
	if long.timed != nil {
		t.Error("a timer runs though nobody waits")
	}
	past := withTimeout(parent, -time.Second)
	defer past.end()
	if err := past.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the time, and nobody waited: %v; want DeadlineExceeded", err)
	}
	cancel()
	if err := long.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the parent is cancelled, and nobody waited: %v; want Canceled", err)
	}
	<-long.Done()
	if !errors.Is(long.Err(), context.Canceled) {
		t.Errorf("the parent is cancelled: %v, want Canceled", long.Err())
	}

	ended := withTimeout(t.Context(), time.Hour)
	ended.end()
	select {
	case <-ended.Done():
	default:
		t.Error("the context goes on after its end")
	}
}
