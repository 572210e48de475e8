package streamclient

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// fakeServer answers what it gets, in an order of its own.
type fakeServer struct {
	// serve gets each message's positions and returns what is answered now; an error
	// breaks the call stream.
	serve func(positions []uint64) ([]uint64, error)
	opens atomic.Int64
}

type fakeWire struct {
	ctx      context.Context
	server   *fakeServer
	messages chan []*flashv1.FlashOrderAnswer
	broken   chan error
}

func (s *fakeServer) open(ctx context.Context) (Wire[int], error) {
	s.opens.Add(1)
	return &fakeWire{
		ctx: ctx, server: s, messages: make(chan []*flashv1.FlashOrderAnswer, 1000), broken: make(chan error, 1),
	}, nil
}

func (w *fakeWire) Send(first uint64, requests []int) error {
	var positions []uint64
	for i := range requests {
		positions = append(positions, first+uint64(i))
	}
	answered, err := w.server.serve(positions)
	var message []*flashv1.FlashOrderAnswer
	for _, position := range answered {
		message = append(message, &flashv1.FlashOrderAnswer{
			Position: position,
			Outcome:  &flashv1.FlashOrderAnswer_Accepted{Accepted: &flashv1.PlaceFlashOrderResponse{}},
		})
	}
	w.messages <- message
	if err != nil {
		w.broken <- err
		return io.EOF
	}
	return nil
}

func (w *fakeWire) Receive() ([]*flashv1.FlashOrderAnswer, error) {
	select {
	case m := <-w.messages:
		return m, nil
	default:
	}
	select {
	case m := <-w.messages:
		return m, nil
	case err := <-w.broken:
		return nil, err
	case <-w.ctx.Done():
		return nil, w.ctx.Err()
	}
}

func (w *fakeWire) CloseSend() error { w.broken <- io.EOF; return nil }
func (w *fakeWire) Close() error     { return nil }

func newMux(s *fakeServer, inFlight int) *Mux[int] {
	return NewMux(MuxOptions[int]{
		Open: s.open, Size: func(int) int { return 100 }, InFlight: inFlight, Timeout: 5 * time.Second, Idle: time.Minute,
		Backoff: func(int) time.Duration { return 100 * time.Millisecond }, Clock: time.Now,
	})
}

// tally counts each request's answers.
type tally struct {
	mu     sync.Mutex
	counts map[int]int
	errs   map[int]error
	group  sync.WaitGroup
}

func newTally() *tally { return &tally{counts: map[int]int{}, errs: map[int]error{}} }

func (c *tally) answer(base, n int) Answer {
	c.group.Add(n)
	return func(i int, _ *flashv1.FlashOrderAnswer, err error) {
		c.mu.Lock()
		c.counts[base+i]++
		c.errs[base+i] = err
		c.mu.Unlock()
		c.group.Done()
	}
}

// Whatever the server does, each request is answered once, and those whose Send failed not at all.
func TestEachRequestIsAnsweredOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 20).Draw(rt, "steps")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 3000), 1, 12).Draw(rt, "sizes")
		synctest.Test(t, func(t *testing.T) {
			var held []uint64
			step := 0
			server := &fakeServer{}
			server.serve = func(positions []uint64) ([]uint64, error) {
				step++
				switch steps[step%len(steps)] {
				case 0: // The stream breaks with everything unanswered.
					held = nil
					return nil, errors.New("broken")
				case 1: // Answers come later.
					held = append(held, positions...)
					return nil, nil
				case 2: // Answers of before come, in another order, and one of them twice.
					answer := append([]uint64{}, held...)
					held = positions
					if len(answer) > 0 {
						answer = append(answer, answer[0])
					}
					return answer, nil
				default:
					return positions, nil
				}
			}
			m := newMux(server, 8192)
			c := newTally()
			base := 0
			for _, size := range sizes {
				requests := make([]int, size)
				answer := c.answer(base, size)
				if err := m.Send(t.Context(), requests, answer); err != nil {
					c.group.Add(-size)
					base -= size
				}
				base += size
			}
			c.group.Wait()
			m.Close()
			for i := range base {
				if c.counts[i] != 1 {
					rt.Fatalf("request %d of %d was answered %d times", i, base, c.counts[i])
				}
			}
			if busy, _ := m.InUse(); busy {
				rt.Fatal("requests are in flight at the end")
			}
		})
	})
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		reason error
		want   error
	}{
		{"a stream that broke", errors.New("broken"), ErrUnknown},
		{"a server that ends the stream", io.EOF, ErrUnknown},
		{"a server that is not there", &net.OpError{Op: "dial", Err: errors.New("refused")}, ErrNotSent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMux(&fakeServer{serve: func([]uint64) ([]uint64, error) { return nil, test.reason }}, 10)
				defer m.Close()
				c := newTally()
				if err := m.TrySend([]int{1}, c.answer(0, 1)); err != nil {
					t.Fatal(err)
				}
				c.group.Wait()
				if !errors.Is(c.errs[0], test.want) {
					t.Errorf("answered %v, want %v", c.errs[0], test.want)
				}
			})
		})
	}
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{serve: func([]uint64) ([]uint64, error) { return nil, nil }}
		m := newMux(server, 10)
		defer m.Close()
		c := newTally()
		started := time.Now()
		if err := m.TrySend(make([]int, 10), c.answer(0, 10)); err != nil {
			t.Fatal(err)
		}
		if err := m.TrySend([]int{1}, nil); !errors.Is(err, ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		c.group.Wait()
		if !errors.Is(c.errs[9], ErrUnknown) || time.Since(started) > 6*time.Second {
			t.Errorf("answered %v after %s", c.errs[9], time.Since(started))
		}
		if err := m.TrySend([]int{1}, c.answer(20, 1)); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		c.group.Wait()
		if server.opens.Load() != 1 {
			t.Errorf("%d streams were opened", server.opens.Load())
		}
	})
}

func TestAStreamThatNothingUsesIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{serve: func(p []uint64) ([]uint64, error) { return p, nil }}
		m := newMux(server, 10)
		defer m.Close()
		for opens := range 3 {
			c := newTally()
			if err := m.TrySend([]int{1}, c.answer(0, 1)); err != nil {
				t.Fatal(err)
			}
			c.group.Wait()
			if c.errs[0] != nil || server.opens.Load() != int64(opens+1) {
				t.Errorf("answered %v on stream %d", c.errs[0], server.opens.Load())
			}
			time.Sleep(3 * time.Minute)
		}
	})
}
