package serve

import (
	"context"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
)

// metrics are those of a pod's RPCs.
type metrics struct {
	seconds *prometheus.HistogramVec
	open    *prometheus.GaugeVec
	ended   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderd_rpc_duration_seconds", Help: "Time to answer an RPC, by procedure and Connect code.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"procedure", "code"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderd_rpc_streams", Help: "Streams that are open, by procedure.",
		}, []string{"procedure"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_rpc_streams_ended_total", Help: "Streams that ended, by procedure and Connect code.",
		}, []string{"procedure", "code"}),
	}
	return m, metric.Register(reg, "the RPCs", m.seconds, m.open, m.ended)
}

// observe counts and times every RPC by procedure and code, and counts streams. It tells the gate,
// if there is one, how long procedures take.
func (m *metrics) observe(gate *overload.Gate) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		// It is called once for each procedure, whose series are looked up once each.
		var series [connect.CodeUnauthenticated + 1]atomic.Pointer[prometheus.Observer]
		var class *overload.Class
		if gate != nil {
			class = gate.Class()
		}
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if spec.StreamType != connect.StreamTypeUnary {
				return m.stream(ctx, spec, stream, next)
			}
			begin := time.Now()
			err := next(ctx, spec, stream)
			now := time.Now()
			took := now.Sub(begin)
			var code connect.Code
			if err != nil {
				code = connect.CodeOf(err)
			} else if class != nil {
				class.Observe(now, took)
			}
			known := series[code].Load()
			if known == nil {
				observer := m.seconds.WithLabelValues(spec.Procedure, nameOf(code))
				known = &observer
				series[code].Store(known)
			}
			(*known).Observe(took.Seconds())
			return err
		}
	}
}

func (m *metrics) stream(
	ctx context.Context, spec connect.Spec, stream connect.ServerStream, next connect.ServerFunc,
) error {
	open := m.open.WithLabelValues(spec.Procedure)
	open.Inc()
	defer open.Dec()
	err := next(ctx, spec, stream)
	var code connect.Code
	if err != nil {
		code = connect.CodeOf(err)
	}
	m.ended.WithLabelValues(spec.Procedure, nameOf(code)).Inc()
	return err
}

// nameOf a code; Connect has none for no error.
func nameOf(code connect.Code) string {
	if code == 0 {
		return "ok"
	}
	return code.String()
}
