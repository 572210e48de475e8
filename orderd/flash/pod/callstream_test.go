package pod

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// reading is a call stream's requests: ten of them, and then what ends it.
func reading(end error, entered chan<- *answers) func(*answers) error {
	first := true
	return func(a *answers) error {
		if !first {
			return end
		}
		first = false
		a.enter(context.Background(), 10)
		entered <- a
		return nil
	}
}

// However a call stream ends, what was read is answered before it does.
func TestAStreamAnswersWhatItReadBeforeItEnds(t *testing.T) {
	leaving := errors.New("the pod is going away")
	tests := []struct {
		name string
		end  error
		want error
	}{
		{"the caller is done", io.EOF, nil},
		{"the pod leaves", leaving, leaving},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				streams := &callStreams{}
				entered, ended := make(chan *answers, 1), make(chan error, 1)
				sent := 0
				go func() {
					ended <- streams.serve(t.Context(), func(list []*flashv1.FlashOrderAnswer) error {
						sent += len(list)
						return nil
					}, reading(test.end, entered))
				}()
				a := <-entered
				for i := range 9 {
					a.give(uint64(i), &flashv1.PlaceFlashOrderResponse{}, nil)
				}
				synctest.Wait()
				select {
				case err := <-ended:
					t.Fatalf("ended with %v before all was answered", err)
				default:
				}
				a.give(9, nil, refusal.Ended())
				if err := <-ended; !errors.Is(err, test.want) || sent != 10 || streams.open.Load() != 0 {
					t.Errorf("ended with %v after %d answers, %d streams open; want %v", err, sent, streams.open.Load(), test.want)
				}
			})
		})
	}
}

func TestAStreamWhoseCallerIsGoneEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := &callStreams{}
		gone := errors.New("gone")
		entered, ended := make(chan *answers, 1), make(chan error, 1)
		go func() {
			ended <- streams.serve(t.Context(), func([]*flashv1.FlashOrderAnswer) error { return gone }, reading(gone, entered))
		}()
		a := <-entered
		a.give(0, &flashv1.PlaceFlashOrderResponse{}, nil)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("ended with %v", err)
		}
		// An owner may answer for as long as it wants.
		a.give(1, &flashv1.PlaceFlashOrderResponse{}, nil)
	})
}

func TestStreamsAreCounted(t *testing.T) {
	streams := &callStreams{overloaded: testPod(t).router.Overloaded}
	streams.open.Store(callStreamsMax)
	refused := refusal.FromError(streams.serve(t.Context(), nil, func(*answers) error { return io.EOF }))
	if refused.Reason() != rpcerr.ReasonOverloaded || refused.RetryAfter() == 0 || streams.open.Load() != callStreamsMax {
		t.Errorf("one stream too many: %v, %d open", refused, streams.open.Load())
	}
}
