// Package peerauth lets the calls between pods prove that they come from a pod of the same
// OrderCluster: by a MAC over procedure and time, under a key derived from the order id key, which no
// one else has. It says who calls, and hides nothing: what is sent is as clear as before.
package peerauth

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// Header has what a pod calls with: the time in seconds since 1970, a dot, and the MAC in hex.
	Header = "Orderd-Peer"
	// ReasonUnknown is of a call that no pod of the OrderCluster made, or whose clock is far off.
	ReasonUnknown = "PEER_UNKNOWN"

	// keyInfo keeps the key apart from the others that are derived from the order id key.
	keyInfo = "orderd call between pods"
	// validFor is how far the caller's time may be from the pod's own: clocks differ, and a header
	// that somebody saw is worth something no longer.
	validFor = 2 * time.Minute
)

// Key makes headers and checks them; safe for concurrent use.
type Key struct {
	key   []byte
	clock func() time.Time
}

// New derives the key from the OrderCluster's order id key, by HKDF-SHA256. An error wraps
// orderid.ErrShortKey.
func New(orderIDKey []byte, clock func() time.Time) (*Key, error) {
	if len(orderIDKey) < orderid.MinKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", orderid.ErrShortKey, len(orderIDKey), orderid.MinKeyBytes)
	}
	key, err := hkdf.Key(sha256.New, orderIDKey, nil, keyInfo, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of calls between pods: %w", err)
	}
	return &Key{key: key, clock: clock}, nil
}

// Ask sends the header with every call of a client. A stream sends it once.
func (k *Key) Ask() connect.ClientInterceptor {
	return func(next connect.ClientFunc) connect.ClientFunc {
		return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
			if info, ok := connect.CallInfoForClientContext(ctx); ok {
				info.RequestHeader().Set(Header, k.header(spec.Procedure))
			}
			return next(ctx, spec)
		}
	}
}

// Answer refuses, with UNAUTHENTICATED and [ReasonUnknown], every call that does not come with the
// header of a pod.
func (k *Key) Answer() connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			var values []string
			if info, ok := connect.CallInfoForServerContext(ctx); ok {
				values = info.RequestHeader().Values(Header)
			}
			if len(values) != 1 || !k.valid(spec.Procedure, values[0]) {
				return rpcerr.New(connect.CodeUnauthenticated, ReasonUnknown,
					"this is for pods of the same OrderCluster, whose clocks agree")
			}
			return next(ctx, spec, stream)
		}
	}
}

func (k *Key) header(procedure string) string {
	seconds := strconv.FormatInt(k.clock().Unix(), 10)
	return seconds + "." + hex.EncodeToString(k.mac(procedure, seconds))
}

func (k *Key) valid(procedure, header string) bool {
	seconds, given, _ := strings.Cut(header, ".")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return false
	}
	if off := k.clock().Sub(time.Unix(at, 0)); off > validFor || off < -validFor {
		return false
	}
	mac, err := hex.DecodeString(given)
	return err == nil && hmac.Equal(mac, k.mac(procedure, seconds))
}

// mac is over the time and the procedure. A time has no space, so no two pairs give the same input.
func (k *Key) mac(procedure, seconds string) []byte {
	h := hmac.New(sha256.New, k.key)
	// A hash never fails.
	_, _ = h.Write([]byte(seconds + " " + procedure))
	return h.Sum(nil)
}
