package streamclient

import (
	"context"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
)

const (
	// streamInFlight is what a pod reads of a call stream without having answered.
	streamInFlight = 16384
	streamTimeout  = 10 * time.Second
	streamIdle     = time.Minute
)

// StreamOptions of [NewStream]. What is not said to be optional is needed.
type StreamOptions struct {
	// Open calls PlaceFlashOrders with the headers of the moment, such as a token that has not
	// expired: the call stream is opened anew when it breaks, and at the latest when its token
	// expires.
	Open func(context.Context) (flashv1connect.FlashServicePlaceFlashOrdersClientStream, error)
	// Clock tells how long something waits.
	Clock func() time.Time
	// Jitter spreads a delay at random around itself; safe for concurrent use.
	Jitter func(time.Duration) time.Duration
	// InFlight is how many requests may be unanswered at once, up to 16,384, which 0 stands for.
	InFlight int
	// Timeout is how long a request waits for its answer; 0: 10 s.
	Timeout time.Duration
}

// Stream is a backend's way to order for many buyers. Safe for concurrent use.
type Stream struct {
	mux *Mux[*flashv1.PlaceFlashOrderRequest]
}

// NewStream connects when it is first used. Close it.
func NewStream(options StreamOptions) *Stream {
	if options.InFlight <= 0 {
		options.InFlight = streamInFlight
	}
	if options.Timeout <= 0 {
		options.Timeout = streamTimeout
	}
	return &Stream{NewMux(MuxOptions[*flashv1.PlaceFlashOrderRequest]{
		Open: func(ctx context.Context) (Wire[*flashv1.PlaceFlashOrderRequest], error) {
			stream, err := options.Open(ctx)
			return placeWire{stream}, err
		},
		Size: Size, InFlight: min(options.InFlight, streamInFlight), Timeout: options.Timeout, Idle: streamIdle,
		Backoff: NewBackoff(options.Jitter), Clock: options.Clock,
	})}
}

// Send sends requests and waits only until there is room for them. Answer is called once for each,
// by its index, in any order: with the accepted order; with a [*refusal.Error]; with
// [ErrNotSent]; or with [ErrUnknown], after which a retry with the same request id tells. It must
// not block. After an error of Send it is not called. The requests must not be changed before they
// are answered.
func (s *Stream) Send(
	ctx context.Context, requests []*flashv1.PlaceFlashOrderRequest,
	answer func(i int, response *flashv1.PlaceFlashOrderResponse, err error),
) error {
	return s.mux.Send(ctx, requests, func(i int, message *flashv1.FlashOrderAnswer, err error) {
		if refused := message.GetRefused(); refused != nil {
			err = refusal.FromMessage(refused)
		}
		answer(i, message.GetAccepted(), err)
	})
}

// Close ends the call stream. Unanswered requests are answered ErrUnknown or
// ErrNotSent before it returns.
func (s *Stream) Close() { s.mux.Close() }

// placeWire is a call of FlashService.PlaceFlashOrders.
type placeWire struct {
	stream flashv1connect.FlashServicePlaceFlashOrdersClientStream
}

func (w placeWire) Send(_ uint64, requests []*flashv1.PlaceFlashOrderRequest) error {
	return w.stream.Send(&flashv1.PlaceFlashOrdersRequest{Requests: requests})
}

func (w placeWire) Receive() ([]*flashv1.FlashOrderAnswer, error) {
	message, err := w.stream.Receive()
	return message.GetAnswers(), err
}

func (w placeWire) CloseSend() error { return w.stream.CloseSend() }

func (w placeWire) Close() error { return w.stream.Close() }

// Size is about how many bytes a request takes in a message.
func Size(request *flashv1.PlaceFlashOrderRequest) int {
	const perField = 4
	size := len(request.GetPromotion()) + len(request.GetBuyerId()) + len(request.GetRequestId()) + 4*perField
	for _, item := range request.GetItems() {
		size += len(item.GetSku()) + 3*perField
	}
	for _, token := range request.GetAdmissionTokens() {
		size += len(token) + perField
	}
	return size
}

// NewBackoff is longer after each attempt that failed, up to two seconds before jitter spreads it.
func NewBackoff(jitter func(time.Duration) time.Duration) func(attempts int) time.Duration {
	policy := backoff.Policy{First: 50 * time.Millisecond, Max: 2 * time.Second}
	return func(attempts int) time.Duration { return jitter(policy.Delay(attempts)) }
}
