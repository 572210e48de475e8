package serve

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

// caching says of answers by GET, which RPCs without side effects can be called with, for how long
// caches on the way may keep them: as the RPC's option orderd.access.v1.access says, and not at all
// without it. A cache must not guess, which HTTP lets it do for some errors too.
func caching(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		header := headerOfGet(ctx, spec)
		if header == nil {
			return next(ctx, spec, stream)
		}
		// Before the answer, which takes the header along.
		header.Set(cacheControl, freshness(spec))
		err := next(ctx, spec, stream)
		if err != nil {
			header.Set(cacheControl, notKept)
		}
		return err
	}
}

const (
	cacheControl = "Cache-Control"
	notKept      = "no-store"
)

// headerOfGet is the answer's header; nil if the RPC is not called by GET.
func headerOfGet(ctx context.Context, spec connect.Spec) *connect.Header {
	if spec.IdempotencyLevel != connect.IdempotencyNoSideEffects {
		return nil
	}
	info, ok := connect.CallInfoForServerContext(ctx)
	if !ok {
		return nil
	}
	if call, overHTTP := info.TransportInfo.(*connecthttp.ServerInfo); !overHTTP || call.HTTPMethod() != http.MethodGet {
		return nil
	}
	return info.ResponseHeader()
}

func freshness(spec connect.Spec) string {
	method, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok {
		return notKept
	}
	policy := auth.PolicyOf(method)
	if !policy.Public || policy.MaxAge <= 0 {
		return notKept
	}
	return fmt.Sprintf("public, max-age=%d", int(policy.MaxAge.Seconds()))
}
