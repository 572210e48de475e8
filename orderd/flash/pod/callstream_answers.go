package pod

import (
	"context"
	"runtime"
	"sync"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
)

// answers are on their way back over a call stream. What is answered while a message is being sent
// goes into the next one. A caller that does not read its answers is read no further; nobody who
// answers ever waits for it.
type answers struct {
	// send sends a message, whose answers it does not keep.
	send func([]*flashv1.FlashOrderAnswer) error
	// wake has a token when there is something to send, room when something was sent.
	wake, room chan struct{}

	// mu guards what follows, up to broken.
	mu    sync.Mutex
	ready []answered
	// open counts the requests whose answers were not sent.
	open int
	// closing says that no requests come any more; broken that nothing can be sent any more.
	closing, broken bool

	// batch and what follows belong to run.
	batch    []answered
	messages [streamclient.MessageRequests]flashv1.FlashOrderAnswer
	accepted [streamclient.MessageRequests]flashv1.FlashOrderAnswer_Accepted
	refused  [streamclient.MessageRequests]flashv1.FlashOrderAnswer_Refused
	message  [streamclient.MessageRequests]*flashv1.FlashOrderAnswer
}

type answered struct {
	position uint64
	response *flashv1.PlaceFlashOrderResponse
	err      error
}

func newAnswers(send func([]*flashv1.FlashOrderAnswer) error) *answers {
	a := &answers{send: send, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	for i := range a.message {
		a.message[i] = &a.messages[i]
	}
	return a
}

// enter counts requests that were read, and waits until there is room for them; false if the call
// stream is over before. One goroutine calls it.
func (a *answers) enter(ctx context.Context, requests int) bool {
	for {
		a.mu.Lock()
		fits, broken := a.open == 0 || a.open+requests <= route.CallStreamWindow, a.broken
		if fits && !broken {
			a.open += requests
		}
		a.mu.Unlock()
		if fits || broken {
			return !broken
		}
		select {
		case <-ctx.Done():
			return false
		case <-a.room:
		}
	}
}

// give answers a request. It does not block, and may come after the call stream's end.
func (a *answers) give(position uint64, response *flashv1.PlaceFlashOrderResponse, err error) {
	a.mu.Lock()
	if a.broken {
		a.mu.Unlock()
		return
	}
	a.ready = append(a.ready, answered{position, response, err})
	first := len(a.ready) == 1
	a.mu.Unlock()
	if first {
		signal(a.wake)
	}
}

// close says that no requests come any more: run ends once all are answered.
func (a *answers) close() {
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	signal(a.wake)
}

// run sends answers until all are sent after close, until ctx ends or the caller is gone.
func (a *answers) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			a.abandon()
			return
		case <-a.wake:
		}
		// Whoever is about to answer gets to do so first: messages of many answers cost less.
		runtime.Gosched()
		if done := a.flush(); done {
			return
		}
	}
}

// flush sends what there is; true if the call stream is done.
func (a *answers) flush() bool {
	for {
		a.mu.Lock()
		a.batch, a.ready = a.ready, a.batch[:0]
		done := a.closing && a.open == 0
		a.mu.Unlock()
		if len(a.batch) == 0 {
			return done
		}
		for rest := a.batch; len(rest) > 0; {
			part := rest[:min(len(rest), streamclient.MessageRequests)]
			rest = rest[len(part):]
			if err := a.send(a.fill(part)); err != nil {
				a.abandon()
				return true
			}
			a.mu.Lock()
			a.open -= len(part)
			a.mu.Unlock()
			signal(a.room)
		}
		clear(a.batch)
	}
}

// fill makes a message that is good until the next.
func (a *answers) fill(part []answered) []*flashv1.FlashOrderAnswer {
	for i := range part {
		message := &a.messages[i]
		message.Position = part[i].position
		if part[i].err != nil {
			a.refused[i].Refused = refusal.FromError(part[i].err).Message()
			message.Outcome = &a.refused[i]
			continue
		}
		a.accepted[i].Accepted = part[i].response
		message.Outcome = &a.accepted[i]
	}
	return a.message[:len(part)]
}

// abandon forgets the answers: nobody reads them.
func (a *answers) abandon() {
	a.mu.Lock()
	a.broken = true
	a.ready = nil
	a.mu.Unlock()
	signal(a.room)
}
