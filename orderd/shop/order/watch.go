package order

import (
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/batch"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/watch"
)

const (
	// signOfLife is how often a stream that brings no change says that it lives, on average: gateways end
	// streams on which nothing comes for a minute. An order that is only in the flash lane is looked for as
	// often, since no event says that it could not be written.
	signOfLife = 30 * time.Second
	// watchRetry is what watchers that are refused or ended are asked to wait on average.
	watchRetry = 2 * time.Second
	// newestLimit is how many reads for watchers wait at most, more than there are watchers; newestBatch
	// of them share a query.
	newestLimit, newestBatch = 8192, 128
	// newestTimeout bounds such a query.
	newestTimeout = 10 * time.Second
)

// newNewest reads for many watchers at once: when the stream of events has lost some, all of them look.
func (s *Service) newNewest() *batch.Batcher[[]uuid.UUID, []*Order] {
	options := batch.Options{
		Limit: newestLimit, Size: newestBatch, Parallel: 2, Beside: newestBatch / 2, Timeout: newestTimeout,
	}
	return batch.New(options, func(ctx context.Context, asked [][]uuid.UUID) ([]batch.Result[[]*Order], error) {
		orders, err := loadAll(ctx, s.store.pool, slices.Concat(asked...))
		if err != nil {
			return nil, err
		}
		found := make(map[uuid.UUID]*Order, len(orders))
		for _, o := range orders {
			found[o.ID] = o
		}
		results := make([]batch.Result[[]*Order], len(asked))
		for i, ids := range asked {
			for _, id := range ids {
				if o := found[id]; o != nil {
					results[i].Value = append(results[i].Value, o)
				}
			}
		}
		return results, nil
	})
}

// WatchOrder sends a buyer's order, and again after every change.
func (s *Service) WatchOrder(
	ctx context.Context, req *orderv1.WatchOrderRequest, stream orderv1connect.OrderServiceWatchOrderServerStream,
) error {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return rpcError(ErrNotFound)
	}
	if s.changes == nil {
		return errNotWatched
	}
	// Before the order is read, so that no change is between the two.
	w, err := s.changes.Order(id)
	if err != nil {
		return s.watchError(err)
	}
	defer w.Close()
	f := follower{
		watcher: w, jitter: s.random.Jitter,
		read: func(ctx context.Context) (*Order, error) { return s.look(ctx, req.GetBuyerId(), id) },
		send: func(o *orderv1.Order) error { return stream.Send(&orderv1.WatchOrderResponse{Order: o}) },
	}
	if req.AfterVersion != nil {
		f.has = &shown{version: req.GetAfterVersion()}
	}
	return s.watchError(f.run(ctx))
}

// look is find, for many callers at once.
func (s *Service) look(ctx context.Context, buyerID string, id uuid.UUID) (*Order, error) {
	found, err := s.newest.Do(ctx, []uuid.UUID{id})
	if err != nil {
		return nil, err
	}
	if len(found) == 1 && found[0].BuyerID == buyerID {
		return found[0], nil
	}
	return s.find(ctx, buyerID, id)
}

// shown is what a watcher has of an order.
type shown struct {
	version int64
	// gone: it is cancelled with version 0, which ACCEPTED has as well.
	gone bool
}

func shownOf(o *Order) shown {
	return shown{version: o.Version, gone: o.Version == 0 && o.State == Cancelled}
}

// follower sends one order's states to one watcher.
type follower struct {
	// watcher is a [watch.Order].
	watcher interface {
		Told() <-chan struct{}
		Take(has int64) bool
		Sent()
	}
	jitter func(time.Duration) time.Duration
	read   func(context.Context) (*Order, error)
	// send an order, or nil as a sign of life.
	send func(*orderv1.Order) error
	// has is what the watcher has; nil if nothing.
	has *shown
	// accepted: the order is in the flash lane only.
	accepted bool
}

// run until ctx ends, or an error.
func (f *follower) run(ctx context.Context) error {
	for begins := true; ; begins = false {
		o, err := f.read(ctx)
		switch {
		case err == nil:
			err = f.show(o, begins)
		case f.accepted && connect.CodeOf(rpcError(err)) == connect.CodeUnavailable:
			// It is looked for again.
			err = nil
		}
		if err == nil {
			err = f.wait(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// show the order, if it is news.
func (f *follower) show(o *Order, begins bool) error {
	f.accepted = o.State == InFlashLane
	if !f.isNews(o, begins) {
		if begins {
			// The answer's header comes with the first message, and some clients wait for it.
			return f.send(nil)
		}
		return nil
	}
	if err := f.send(o.proto()); err != nil {
		return err
	}
	f.watcher.Sent()
	now := shownOf(o)
	f.has = &now
	return nil
}

// isNews says whether the watcher wants to know of the order. What a watcher says it has is compared
// with the order as it is, and may be newer, where a database was restored.
func (f *follower) isNews(o *Order, begins bool) bool {
	if f.has == nil {
		return true
	}
	now := shownOf(o)
	return now.version > f.has.version || now.gone && *f.has == shown{} || begins && now.version != f.has.version
}

// wait until the order may be another one.
func (f *follower) wait(ctx context.Context) error {
	life := time.NewTimer(f.jitter(signOfLife))
	defer life.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.watcher.Told():
			if f.watcher.Take(f.has.version) {
				return nil
			}
		case <-life.C:
			if err := f.send(nil); err != nil || f.accepted {
				return err
			}
			life.Reset(f.jitter(signOfLife))
		}
	}
}

// WatchOrders sends the changes of all of a buyer's orders.
func (s *Service) WatchOrders(
	ctx context.Context, req *orderv1.WatchOrdersRequest, stream orderv1connect.OrderServiceWatchOrdersServerStream,
) error {
	if s.changes == nil {
		return errNotWatched
	}
	var from *watch.Position
	if token := req.GetResumeToken(); token != "" {
		opened, err := s.changes.Open(token)
		if err != nil {
			return s.watchError(err)
		}
		from = &opened
	}
	first, _ := s.ids.Range(req.GetBuyerId())
	w, at, err := s.changes.Buyer(first, from)
	if err != nil {
		return s.watchError(err)
	}
	defer w.Close()
	send := func(o *orderv1.OrderSummary) error {
		return stream.Send(&orderv1.WatchOrdersResponse{Order: o, ResumeToken: s.changes.Token(at)})
	}
	if err := send(nil); err != nil {
		return err
	}
	for {
		if err := s.waitForBuyer(ctx, w); err != nil {
			return err
		}
		changed, behind, err := w.Take()
		if err != nil {
			return s.watchError(err)
		}
		orders, err := s.changedOf(ctx, req.GetBuyerId(), changed)
		if err != nil {
			return s.watchError(err)
		}
		for i, o := range orders {
			// Only behind the last one nothing is missed.
			if i == len(orders)-1 {
				at = behind
			}
			if err := send(o.summary()); err != nil {
				return err
			}
			w.Sent()
		}
		if len(orders) > 0 {
			continue
		}
		at = behind
		if err := send(nil); err != nil {
			return err
		}
	}
}

// waitForBuyer waits until an order may have changed, or it is time for a sign of life.
func (s *Service) waitForBuyer(ctx context.Context, w *watch.Buyer) error {
	life := time.NewTimer(s.random.Jitter(signOfLife))
	defer life.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.Told():
	case <-life.C:
	}
	return nil
}

// changedOf are those of the orders that are the buyer's.
func (s *Service) changedOf(ctx context.Context, buyerID string, ids []uuid.UUID) ([]*Order, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	orders, err := s.newest.Do(ctx, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(orders, func(o *Order) bool { return o.BuyerID != buyerID }), nil
}

// errNotWatched says that the service was made without changes.
var errNotWatched = rpcerr.New(connect.CodeUnimplemented, rpcerr.ReasonUnimplemented, "orders are not watched here")

// watchError is what a watcher sees of an error.
func (s *Service) watchError(err error) error {
	later := func(text string) error {
		return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded, text, s.random.Jitter(watchRetry))
	}
	switch {
	case errors.Is(err, watch.ErrFull), errors.Is(err, batch.ErrFull):
		return later("the pod has too many watchers; go on with a new stream")
	case errors.Is(err, watch.ErrNotReading):
		return later("the pod does not follow the changes of orders yet; go on with a new stream")
	case errors.Is(err, watch.ErrBehind):
		return later("changes were missed; go on with a new stream")
	case errors.Is(err, watch.ErrTooOld):
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonResumeTooOld,
			"what has changed since the token is not known any more; begin without one, and list the orders again")
	case errors.Is(err, watch.ErrInvalidToken):
		return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest,
			"resume_token is not from a message of this stream", "field", "resume_token")
	}
	return rpcError(err)
}
