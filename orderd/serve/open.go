package serve

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/grpcreflect/v2"

	healthv1 "github.com/orderd-dev/orderd/api/gen/grpc/health/v1"
	"github.com/orderd-dev/orderd/api/gen/grpc/health/v1/healthv1connect"
)

const (
	// maxOpenStreams is how many streams of callers without a token a listener has at once.
	maxOpenStreams = 256
	// watchInterval is how long it takes at most until who watches a pod's health learns of a change.
	watchInterval = 500 * time.Millisecond
)

// open answers what anybody may ask without a token: whether the pod serves, by gRPC's health
// protocol, and, if the configuration says so, what it serves, by gRPC's server reflection. Apps is
// the server of the RPCs for apps, nil where there is none.
func (p *pod) open(around stack, h *health, apps *connect.Server) *connect.Server {
	server := connect.NewServer(around.forAnybody()...)
	// Not before the first question: until then services are added.
	services := sync.OnceValue(func() []string { return servicesOf(apps, server) })
	healthv1connect.RegisterHealthHandler(server, &healthService{health: h, services: services, leaving: p.leaving})
	if p.config.HTTP.Reflection && apps != nil {
		grpcreflect.Register(server, grpcreflect.WithNamer(grpcreflect.NamerFunc(services)))
	}
	return server
}

// servicesOf are the full names of the servers' services.
func servicesOf(servers ...*connect.Server) []string {
	var names []string
	for _, server := range servers {
		if server == nil {
			continue
		}
		for spec := range server.Specs() {
			name, _, _ := strings.Cut(strings.TrimPrefix(spec.Procedure, "/"), "/")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// forAnybody is what stands around RPCs whose callers come without a token. They are not refused for
// load: whether a busy pod lives must be known. Who watches may do so for long, once the question is
// there; who sends a stream has no more time than for a request.
func (s stack) forAnybody() []connect.ServerInterceptor {
	return []connect.ServerInterceptor{s.metrics.observe(nil), atMost(maxOpenStreams), unhurried(ofWatchers), s.bound()}
}

// atMost refuses a stream while there are n others.
func atMost(n int) connect.ServerInterceptor {
	slots := make(chan struct{}, n)
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if spec.StreamType == connect.StreamTypeUnary {
				return next(ctx, spec, stream)
			}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				return next(ctx, spec, stream)
			default:
				return connect.NewError(connect.CodeResourceExhausted, "the pod has too many streams of this kind")
			}
		}
	}
}

// healthService is gRPC's health protocol. All services of a pod are as healthy as the pod is.
type healthService struct {
	health   *health
	services func() []string
	// leaving is closed when those who watch have to go.
	leaving <-chan struct{}
}

// Check implements healthv1connect.HealthHandler.
func (s *healthService) Check(
	_ context.Context, req *healthv1.HealthCheckRequest,
) (*healthv1.HealthCheckResponse, error) {
	status := s.status(req.GetService())
	if status == healthv1.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, connect.NewError(connect.CodeNotFound, "unknown service")
	}
	return &healthv1.HealthCheckResponse{Status: status}, nil
}

// List implements healthv1connect.HealthHandler.
func (s *healthService) List(context.Context, *healthv1.HealthListRequest) (*healthv1.HealthListResponse, error) {
	status := s.status("")
	all := map[string]*healthv1.HealthCheckResponse{"": {Status: status}}
	for _, name := range s.services() {
		all[name] = &healthv1.HealthCheckResponse{Status: status}
	}
	return &healthv1.HealthListResponse{Statuses: all}, nil
}

// Watch implements healthv1connect.HealthHandler.
func (s *healthService) Watch(
	ctx context.Context, req *healthv1.HealthCheckRequest, stream healthv1connect.HealthWatchServerStream,
) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	told := healthv1.HealthCheckResponse_ServingStatus(-1)
	for {
		if status := s.status(req.GetService()); status != told {
			if err := stream.Send(&healthv1.HealthCheckResponse{Status: status}); err != nil {
				return err
			}
			told = status
		}
		select {
		case <-tick.C:
		case <-s.leaving:
			return connect.NewError(connect.CodeUnavailable, "the pod is going away")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// status of a service by its full name, or of the pod if that is empty.
func (s *healthService) status(service string) healthv1.HealthCheckResponse_ServingStatus {
	switch {
	case service != "" && !slices.Contains(s.services(), service):
		return healthv1.HealthCheckResponse_SERVICE_UNKNOWN
	case s.health.problem() != nil:
		return healthv1.HealthCheckResponse_NOT_SERVING
	default:
		return healthv1.HealthCheckResponse_SERVING
	}
}
