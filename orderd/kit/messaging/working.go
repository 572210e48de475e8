package messaging

import (
	"context"
	"sync"
	"time"
)

// Message is a JetStream message, or something made of one, whose work takes longer than the server
// waits for an answer.
type Message interface {
	comparable
	// InProgress tells the server that the message is still worked on.
	InProgress() error
	// Nak puts the message back at once.
	Nak() error
}

// Working is the set of messages that this pod works on. It tells the server so again and again, so
// that only a dead pod's messages go to others. Its methods are safe for concurrent use.
type Working[M Message] struct {
	mu sync.Mutex
	// mu guards messages.
	messages map[M]struct{}
}

// NewWorking makes an empty set.
func NewWorking[M Message]() *Working[M] { return &Working[M]{messages: map[M]struct{}{}} }

// Add a message that this pod has received.
func (w *Working[M]) Add(m M) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages[m] = struct{}{}
}

// Remove a message that is answered.
func (w *Working[M]) Remove(m M) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.messages, m)
}

// Len is how many there are.
func (w *Working[M]) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.messages)
}

// Renew keeps the messages this pod's until ctx ends. every has to be shorter than the server's
// wait for an answer, so that one renewal may be lost.
func (w *Working[M]) Renew(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// An error is that the connection is away, or that the message was answered meanwhile.
		w.each(func(m M) { _ = m.InProgress() })
	}
}

// PutBack lets other pods have all messages at once. Where that does not get through, they come to
// others after the server's wait.
func (w *Working[M]) PutBack() {
	w.each(func(m M) { _ = m.Nak() })
}

func (w *Working[M]) each(do func(M)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for m := range w.messages {
		do(m)
	}
}
