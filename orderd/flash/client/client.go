// Package client has the small clients of the flash pool: for pods and workers of the standard
// lane, which ask any flash pod for an order or to release one, and for flash pods that ask each
// other.
package client

import (
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
)

const (
	// Timeout bounds a call to a flash pod.
	Timeout = 5 * time.Second
	// dialTimeout bounds connecting to a pod.
	dialTimeout = 2 * time.Second
	// idleTimeout is how long a connection is kept that nothing uses.
	idleTimeout = time.Minute
	// pingAfter is when a connection that nothing came from is asked whether it lives, pingTimeout
	// how long it has to say so.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second
	// maxResponseBytes bounds a pod's answer: a message of a call stream has up to 1,024.
	maxResponseBytes = 2 << 20
	// frameBytes is what a frame may have: a message of a call stream in a few.
	frameBytes = 256 << 10
)

// NewHTTP speaks HTTP/2 without TLS, over one connection to a pod unless it is full, and finds
// dead connections soon.
func NewHTTP() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		// A dial goes on after its call was given up: without a limit, for as long
		// as the kernel tries.
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		Protocols:           protocols,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     idleTimeout,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout, MaxReadFrameSize: frameBytes,
		},
	}}
}

// NewPeerService calls the PeerService at a base URL, as one that its pods know: see peerauth.Key. It
// connects when it is first used.
func NewPeerService(
	client *http.Client, peerURL string, known ...connect.ClientInterceptor,
) flashv1connect.PeerServiceClient {
	transport := connecthttp.NewTransport(client, peerURL, connecthttp.WithReadMaxBytes(maxResponseBytes))
	return flashv1connect.NewPeerServiceClient(connect.NewClient(transport, known...))
}
