package streamclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// farewell is how long a call stream that nothing can be sent on has to say why.
const farewell = time.Second

// session is one call stream of a mux. Its fields are guarded by the mux's lock.
type session[R any] struct {
	next uint64
	open pages
	// message is the sender's, to be filled again.
	message []R
	// served says that an answer came.
	served bool
	over   bool
}

// serve serves requests over one call stream until it breaks, with the reason, or is idle for long.
// Served says that the server answered.
func (m *Mux[R]) serve(ctx context.Context) (served bool, reason error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wire, err := m.open(ctx)
	if err != nil {
		return false, fmt.Errorf("opening a call stream: %w", err)
	}
	// The end of ctx alone does not end a call stream whose server reads nothing.
	context.AfterFunc(ctx, func() { _ = wire.Close() })
	s := &session[R]{}
	broken := make(chan error, 1)
	swept := make(chan struct{})
	go func() {
		err := m.receive(wire, s)
		// A send that waits for the server to read must not wait any longer.
		cancel()
		broken <- err
	}()
	go func() {
		defer close(swept)
		m.sweep(ctx, s)
	}()
	idle := m.send(ctx, wire, s)
	if idle {
		idle = wire.CloseSend() == nil
	}
	// Receive says why the call stream ended, if it is let.
	leave := time.AfterFunc(farewell, cancel)
	defer leave.Stop()
	reason = <-broken
	cancel()
	<-swept
	m.end(s, reason)
	if idle {
		return true, nil
	}
	return s.served, reason
}

// send sends what is queued until the call stream breaks; true if it became idle.
func (m *Mux[R]) send(ctx context.Context, wire Wire[R], s *session[R]) (idle bool) {
	quiet := time.NewTicker(m.idle)
	defer quiet.Stop()
	for {
		for first, message := m.nextMessage(s); len(message) > 0; first, message = m.nextMessage(s) {
			if err := wire.Send(first, message); err != nil {
				// Why, Receive says.
				return false
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-m.wake:
		case <-quiet.C:
			if m.quiet() {
				return true
			}
		}
	}
}

func (m *Mux[R]) quiet() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inFlight == 0 && m.clock().Sub(m.used) >= m.idle
}

type found struct {
	slot
	answer *flashv1.FlashOrderAnswer
}

func (m *Mux[R]) receive(wire Wire[R], s *session[R]) error {
	var batch []found
	for {
		answers, err := wire.Receive()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the server ended the call stream")
			}
			return err
		}
		batch = batch[:0]
		m.mu.Lock()
		if s.over {
			m.mu.Unlock()
			continue
		}
		s.served = true
		for _, answer := range answers {
			// What is not there was answered, if only with ErrUnknown.
			if at, ok := s.open.remove(answer.GetPosition()); ok {
				batch = append(batch, found{at, answer})
			}
		}
		m.inFlight -= len(batch)
		waiting := len(m.queue) > 0
		m.mu.Unlock()
		signal(m.room)
		if waiting {
			// The pages may have been full.
			signal(m.wake)
		}
		for _, f := range batch {
			f.batch.answer(f.index, f.answer, nil)
		}
		clear(batch)
	}
}

// sweep answers requests whose time is over.
func (m *Mux[R]) sweep(ctx context.Context, s *session[R]) {
	ticker := time.NewTicker(m.timeout / sweepsPerTimeout)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := m.clock()
			m.mu.Lock()
			late := s.open.removeIf(func(at slot) bool { return at.batch.deadline.Before(now) })
			m.inFlight -= len(late)
			unsent := m.overdue(now)
			m.mu.Unlock()
			if len(late)+len(unsent) == 0 {
				continue
			}
			signal(m.room)
			signal(m.wake)
			answerAll(late, fmt.Errorf("%w after %s", ErrUnknown, m.timeout))
			answerAll(unsent, fmt.Errorf("%w within %s", ErrNotSent, m.timeout))
		}
	}
}

// overdue takes from the front of the queue what waited too long for the server to read.
func (m *Mux[R]) overdue(now time.Time) []slot {
	var late []slot
	for len(m.queue) > 0 && m.queue[0].deadline.Before(now) {
		q := m.queue[0]
		for i := range q.requests {
			late = append(late, slot{q.batch, q.first + i})
		}
		m.inFlight -= len(q.requests)
		m.queue = m.queue[1:]
	}
	return late
}

// end answers what is unanswered when the call stream is over.
func (m *Mux[R]) end(s *session[R], reason error) {
	m.mu.Lock()
	s.over = true
	open := s.open.removeIf(func(slot) bool { return true })
	m.inFlight -= len(open)
	if len(m.queue) > 0 {
		signal(m.wake)
	}
	m.mu.Unlock()
	signal(m.room)
	err := fmt.Errorf("%w: %w", ErrUnknown, reason)
	if neverSent(reason) {
		err = fmt.Errorf("%w: %w", ErrNotSent, reason)
	}
	answerAll(open, err)
}

func answerAll(slots []slot, err error) {
	for _, s := range slots {
		s.batch.answer(s.index, nil, err)
	}
}
