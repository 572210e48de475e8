// Package streamclient puts many requests on one long-lived call stream and brings each its answer:
// for backends that call FlashService.PlaceFlashOrders, and for pods that forward requests to each
// other.
package streamclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

const (
	// MessageRequests is how many requests a message has at most: the protocol's limit.
	MessageRequests = 1024
	// messageBytes is about how large a message may become. Servers refuse twice as much.
	messageBytes = 1 << 20
	// pagesMax bounds what is remembered because one of 1,024 requests in a row is unanswered while
	// the others are not.
	pagesMax = 256
	// sweepsPerTimeout is how often in the time a request has it is looked for those whose time is
	// over.
	sweepsPerTimeout = 20
)

var (
	// ErrNotSent says that a request did not leave: the server cannot be reached.
	ErrNotSent = errors.New("not sent")
	// ErrUnknown says that a request may have been taken, or may still be: its call stream broke,
	// or no answer came in time.
	ErrUnknown = errors.New("unanswered")
	// ErrFull says that too many requests wait for answers already. Nothing was sent.
	ErrFull = errors.New("too many requests in flight")
)

// Answer takes the answer to the i-th request of a Send, once: the message, or an error that is
// [ErrNotSent] or [ErrUnknown]. It runs in the call stream's goroutine and must not block.
type Answer func(i int, answer *flashv1.FlashOrderAnswer, err error)

// Wire is one call stream to a server. Send and Receive are each called by one goroutine at a time.
type Wire[R any] interface {
	// Send sends a message of requests, the first of which has a position in the call stream.
	Send(first uint64, requests []R) error
	// Receive returns the answers of the next message. Once it has failed, the call stream is over.
	Receive() ([]*flashv1.FlashOrderAnswer, error)
	// CloseSend says that no more requests come; the server ends the call stream then.
	CloseSend() error
	// Close ends the call stream at once, and with it a Send or Receive that waits. Any goroutine
	// may call it, more than once.
	Close() error
}

// MuxOptions of [NewMux]. All are needed.
type MuxOptions[R any] struct {
	// Open starts a call stream that ends with ctx. It need not wait until the server is reached.
	Open func(ctx context.Context) (Wire[R], error)
	// Size of a request in a message, in bytes; an estimate will do.
	Size func(R) int
	// InFlight is how many requests may be unanswered at once.
	InFlight int
	// Timeout is how long a request waits for its answer.
	Timeout time.Duration
	// Idle is how long a call stream is kept that nothing waits for.
	Idle time.Duration
	// Backoff is how long nothing is tried after a call stream broke that had brought no answer,
	// attempts times in a row: see [NewBackoff].
	Backoff func(attempts int) time.Duration
	// Clock tells how long something waits.
	Clock func() time.Time
}

// Mux keeps one call stream open while there are requests, and opens the next when it breaks. What
// waits while a message is being sent goes into the next one. Make it with [NewMux]; safe for
// concurrent use.
type Mux[R any] struct {
	open    func(ctx context.Context) (Wire[R], error)
	size    func(R) int
	most    int
	timeout time.Duration
	idle    time.Duration
	backoff func(attempts int) time.Duration
	clock   func() time.Time

	cancel context.CancelFunc
	done   chan struct{}
	// wake has a token when the queue got its first request, room when requests were answered.
	wake, room chan struct{}

	// mu guards what follows, and the fields of the session.
	mu sync.Mutex
	// queue is what was not put into a message yet.
	queue    []queued[R]
	inFlight int
	// down says that the server could not be reached, and is not tried for now.
	down error
	used time.Time
}

// batch is the requests of one Send.
type batch struct {
	answer   Answer
	deadline time.Time
}

// slot is one request.
type slot struct {
	batch *batch
	index int
}

// queued is the rest of a batch, from index first on.
type queued[R any] struct {
	*batch
	requests []R
	first    int
}

// NewMux connects when it is first used. Close it.
func NewMux[R any](options MuxOptions[R]) *Mux[R] {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mux[R]{
		open: options.Open, size: options.Size, most: options.InFlight, timeout: options.Timeout, idle: options.Idle,
		backoff: options.Backoff, clock: options.Clock, used: options.Clock(),
		cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	go m.run(ctx)
	return m
}

// Close ends the call stream. Unanswered requests are answered ErrUnknown or
// ErrNotSent before it returns.
func (m *Mux[R]) Close() {
	m.cancel()
	<-m.done
}

// TrySend queues requests, in order, and does not wait. After an error, [ErrNotSent] or [ErrFull],
// answer is not called; otherwise it is called once for each. The requests must not be changed
// before.
func (m *Mux[R]) TrySend(requests []R, answer Answer) error {
	if len(requests) == 0 {
		return nil
	}
	now := m.clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	if m.inFlight+len(requests) > m.most {
		return ErrFull
	}
	m.used = now
	m.inFlight += len(requests)
	m.queue = append(m.queue, queued[R]{&batch{answer, now.Add(m.timeout)}, requests, 0})
	if len(m.queue) == 1 {
		signal(m.wake)
	}
	return nil
}

// Send is [Mux.TrySend] that waits until there is room. Errors: ctx's, ErrNotSent; ErrFull if there
// never is room for so many.
func (m *Mux[R]) Send(ctx context.Context, requests []R, answer Answer) error {
	if len(requests) > m.most {
		return ErrFull
	}
	for {
		err := m.TrySend(requests, answer)
		if !errors.Is(err, ErrFull) {
			// There may be room for another one who waits.
			signal(m.room)
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.room:
		}
	}
}

// InUse says whether requests wait for answers, and since when nothing was sent.
func (m *Mux[R]) InUse() (bool, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inFlight > 0, m.used
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (m *Mux[R]) run(ctx context.Context) {
	defer close(m.done)
	for failed := 0; ; {
		select {
		case <-ctx.Done():
		case <-m.wake:
		}
		var err error
		if ctx.Err() == nil {
			var served bool
			if served, err = m.serve(ctx); served && ctx.Err() == nil {
				// It was there a moment ago: what was not sent yet goes on with the next
				// call stream at once.
				failed = 0
				continue
			}
		}
		if ctx.Err() != nil {
			m.refuse(fmt.Errorf("%w: the call stream was closed", ErrNotSent))
			return
		}
		failed++
		m.refuse(fmt.Errorf("%w: %w", ErrNotSent, err))
		pause := time.NewTimer(m.backoff(failed))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		m.mu.Lock()
		m.down = nil
		m.mu.Unlock()
	}
}

// refuse answers what is queued, and from now on everything that comes.
func (m *Mux[R]) refuse(err error) {
	m.mu.Lock()
	m.down = err
	rest := m.queue
	m.queue = nil
	for _, q := range rest {
		m.inFlight -= len(q.requests)
	}
	m.mu.Unlock()
	signal(m.room)
	for _, q := range rest {
		for i := range q.requests {
			q.answer(q.first+i, nil, err)
		}
	}
}

// neverSent says that no byte of a call stream can have reached its server.
func neverSent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// nextMessage moves queued requests into the next message and the session's pages; none
// if nothing is queued.
func (m *Mux[R]) nextMessage(s *session[R]) (first uint64, message []R) {
	// Whoever is about to send gets to do so first: messages of many requests cost less.
	runtime.Gosched()
	m.mu.Lock()
	defer m.mu.Unlock()
	first, message = s.next, s.message[:0]
	size, whole := 0, 0
	for i := range m.queue {
		q := &m.queue[i]
		n := 0
		for n < len(q.requests) && len(message) < MessageRequests && (size < messageBytes || len(message) == 0) {
			if !s.open.put(s.next, slot{q.batch, q.first + n}) {
				break
			}
			message = append(message, q.requests[n])
			size += m.size(q.requests[n])
			s.next++
			n++
		}
		q.requests, q.first = q.requests[n:], q.first+n
		if len(q.requests) > 0 {
			break
		}
		whole++
	}
	left := copy(m.queue, m.queue[whole:])
	clear(m.queue[left:])
	m.queue = m.queue[:left]
	s.message = message
	return first, message
}
