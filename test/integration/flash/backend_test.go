package flash_test

import (
	"context"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// flashClient calls a pod over HTTP/2. It takes little of what it does not read.
func flashClient(address string) flashv1connect.FlashServiceClient {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{
		Transport: &http.Transport{Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 256 << 10}},
	}
	DeferCleanup(client.CloseIdleConnections)
	return flashv1connect.NewFlashServiceClient(connect.NewClient(connecthttp.NewTransport(client, "http://"+address)))
}

// backend is a stream to a pod.
func backend(address string) *streamclient.Stream {
	client := flashClient(address)
	s := streamclient.NewStream(streamclient.StreamOptions{
		Open: client.PlaceFlashOrders, Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
	})
	DeferCleanup(s.Close)
	return s
}

// placedAll sends requests over a stream and waits for their answers.
func placedAll(ctx context.Context, s *streamclient.Stream, requests []*flashv1.PlaceFlashOrderRequest) []outcome {
	GinkgoHelper()
	outcomes := make([]outcome, len(requests))
	var group sync.WaitGroup
	group.Add(len(requests))
	Expect(s.Send(ctx, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
		defer group.Done()
		outcomes[i] = outcome{order: response.GetOrderId(), reason: rpcerr.Reason(err)}
		if err != nil && outcomes[i].reason == "" {
			outcomes[i].reason = err.Error()
		}
	})).To(Succeed())
	group.Wait()
	return outcomes
}

// buyAll sends requests until none of their answers asks for a retry, through one
// backend after the other.
func buyAll(
	ctx context.Context, backends []*streamclient.Stream, requests []*flashv1.PlaceFlashOrderRequest,
) map[string]outcome {
	GinkgoHelper()
	answers := map[string]outcome{}
	for attempt := 0; len(requests) > 0 && ctx.Err() == nil; attempt++ {
		var again []*flashv1.PlaceFlashOrderRequest
		for i, got := range placedAll(ctx, backends[attempt%len(backends)], requests) {
			r := requests[i]
			if got.order == "" && got.reason != rpcerr.ReasonSoldOut && got.reason != rpcerr.ReasonLimitPerBuyer {
				again = append(again, r)
				continue
			}
			answers[r.BuyerId+"/"+r.RequestId] = got
		}
		requests = again
		if len(again) > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return answers
}

// only is always the same pod.
func only(p *pod) func(int) *flashpod.Service {
	return func(int) *flashpod.Service { return p.Service }
}

func idOf(order string) []byte {
	id := uuid.MustParse(order)
	return id[:]
}
