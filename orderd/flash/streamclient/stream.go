package streamclient

import (
	"context"
	"math/rand/v2"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

const (
	// streamInFlight is what a pod reads of a stream without having answered.
	streamInFlight = 16384
	streamTimeout  = 10 * time.Second
	streamIdle     = time.Minute
	backoffMin     = 50 * time.Millisecond
	backoffMax     = 2 * time.Second
)

// StreamOptions of a Stream.
type StreamOptions struct {
	// Open calls PlaceFlashOrders with the headers of the moment, such as a token that has not expired: the stream is
	// opened anew when it breaks, and at the latest when its token expires.
	Open func(context.Context) (flashv1connect.FlashServicePlaceFlashOrdersClientStream, error)
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
			return placing{stream}, err
		},
		Size: Size, InFlight: min(options.InFlight, streamInFlight), Timeout: options.Timeout, Idle: streamIdle, Backoff: Backoff,
	})}
}

// Send sends requests and waits only until there is room for them. Answer is called once for each, by its index, in any order: with
// the accepted order; with a *refusal.Refusal; with ErrNotSent; or with ErrUnknown, after which a retry with the same request id tells. It must
// not block. After an error of Send it is not called. The requests must not be changed before they are answered.
func (s *Stream) Send(ctx context.Context, requests []*flashv1.PlaceFlashOrderRequest, answer func(i int, response *flashv1.PlaceFlashOrderResponse, err error)) error {
	return s.mux.Send(ctx, requests, func(i int, message *flashv1.FlashOrderAnswer, err error) {
		if refused := message.GetRefused(); refused != nil {
			err = refusal.FromMessage(refused)
		}
		answer(i, message.GetAccepted(), err)
	})
}

// Close ends the stream. Unanswered requests are answered ErrUnknown or ErrNotSent before it returns.
func (s *Stream) Close() { s.mux.Close() }

type placing struct {
	stream flashv1connect.FlashServicePlaceFlashOrdersClientStream
}

func (w placing) Send(_ uint64, requests []*flashv1.PlaceFlashOrderRequest) error {
	return w.stream.Send(&flashv1.PlaceFlashOrdersRequest{Requests: requests})
}

func (w placing) Receive() ([]*flashv1.FlashOrderAnswer, error) {
	message, err := w.stream.Receive()
	return message.GetAnswers(), err
}

func (w placing) CloseSend() error { return w.stream.CloseSend() }

func (w placing) Close() error { return w.stream.Close() }

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

// Backoff is longer after each attempt that failed, at random, up to two seconds.
func Backoff(attempts int) time.Duration {
	delay := min(backoffMin<<min(attempts-1, 10), backoffMax)
	return delay/2 + rand.N(delay/2+1)
}
