package messaging_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

type message struct{ renewed, returned int }

func (m *message) InProgress() error { m.renewed++; return errors.New("the connection is away") }

func (m *message) Nak() error { m.returned++; return nil }

func TestWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := messaging.NewWorking[*message]()
		kept, answered := &message{}, &message{}
		w.Add(kept)
		w.Add(answered)
		ctx, stop := context.WithCancel(t.Context())
		go w.Renew(ctx, time.Second)
		time.Sleep(1500 * time.Millisecond)
		w.Remove(answered)
		if n := w.Len(); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		time.Sleep(2 * time.Second)
		stop()
		synctest.Wait()
		time.Sleep(5 * time.Second)
		w.PutBack()
		if *kept != (message{renewed: 3, returned: 1}) || *answered != (message{renewed: 1}) {
			t.Errorf("kept %+v, answered %+v", *kept, *answered)
		}
	})
}
