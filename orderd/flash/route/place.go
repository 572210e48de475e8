package route

import (
	"context"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// Answer takes the answer to the i-th of the requests of a call, once. It must not block.
type Answer func(i int, response *flashv1.PlaceFlashOrderResponse, err error)

// RefuseAll gives each of so many requests the same answer.
func RefuseAll(requests int, answer Answer, err error) {
	for i := range requests {
		answer(i, nil, err)
	}
}

// Place puts requests of one partition to its owner, and those once more for which the guess who
// that is was wrong. It does not wait: answer is called once for each of them, before or after
// Place returns. The requests must not be changed before. Once ctx ends, what was not decided on is
// answered that the partition moves.
func (r *Router) Place(
	ctx context.Context, target Target, requests []*flashv1.PlaceFlashOrderRequest, answer Answer,
) {
	err := r.placeOnce(ctx, target, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
		if !isNotOwner(err) {
			answer(i, response, err)
			return
		}
		// Who answers must not be called by its answer; and this is rare.
		go r.placeAgain(ctx, target, requests[i:i+1],
			func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) { answer(i, response, err) })
	})
	switch {
	case isNotOwner(err):
		r.placeAgain(ctx, target, requests, answer)
	case err != nil:
		RefuseAll(len(requests), answer, err)
	}
}

// placeAgain is for those that were refused by a pod that is not the owner.
func (r *Router) placeAgain(
	ctx context.Context, target Target, requests []*flashv1.PlaceFlashOrderRequest, answer Answer,
) {
	target, known := r.lookAgain(target)
	if !known {
		RefuseAll(len(requests), answer, r.Moving())
		return
	}
	err := r.placeOnce(ctx, target, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
		answer(i, response, r.givenUp(err))
	})
	if err != nil {
		RefuseAll(len(requests), answer, r.givenUp(err))
	}
}

// placeOnce puts requests to the pod that is believed to own their partition. It does not wait.
// After an error nothing happened to any, and answer is not called.
func (r *Router) placeOnce(
	ctx context.Context, target Target, requests []*flashv1.PlaceFlashOrderRequest, answer Answer,
) error {
	to, err := r.find(target)
	if err != nil {
		return err
	}
	if to.owner != nil {
		to.owner.ReserveMany(ctx, requests, answer)
		return nil
	}
	return r.forward(to.address, target, requests, answer)
}

// PlaceOne is [Router.Place] for a caller who waits, until ctx ends or for client.Timeout and
// up to a second longer.
func (r *Router) PlaceOne(
	ctx context.Context, target Target, request *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	return twice(r, target, func(target Target) (*flashv1.PlaceFlashOrderResponse, error) {
		return r.placeAndWait(ctx, target, request)
	})
}

func (r *Router) placeAndWait(
	ctx context.Context, target Target, request *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	w := r.waiters.Get().(*waiter)
	w.requests[0] = request
	if err := r.placeOnce(ctx, target, w.requests[:], w.answer); err != nil {
		r.putBack(w)
		return nil, err
	}
	select {
	case a := <-w.answers:
		r.putBack(w)
		return a.response, a.err
	case <-ctx.Done():
	case <-r.waits.end(r.clock()):
	}
	// Its answer may still come: it is not used again.
	return nil, r.Moving()
}

// waiter is a caller who waits for the answer to one request, to be used again.
type waiter struct {
	requests [1]*flashv1.PlaceFlashOrderRequest
	// answer puts the answer into answers.
	answer  Answer
	answers chan answered
}

type answered struct {
	response *flashv1.PlaceFlashOrderResponse
	err      error
}

func newWaiter() any {
	w := &waiter{answers: make(chan answered, 1)}
	w.answer = func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) {
		w.answers <- answered{response, err}
	}
	return w
}

// putBack lets a waiter be used again that was answered, or never will be.
func (r *Router) putBack(w *waiter) {
	w.requests[0] = nil
	r.waiters.Put(w)
}
