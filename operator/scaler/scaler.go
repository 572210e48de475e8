// Package scaler tells KEDA when a sale is on, so that any workload of the cluster can be scaled ahead of it: it serves
// KEDA's protocol of external scalers (https://keda.sh/docs/latest/concepts/external-scalers).
//
// What holds:
//   - A ScaledObject learns of the OrderClusters and PromotionEvents of its own namespace alone.
//   - A sale is on from prewarm before its start to its end. A paused one is on, too.
//   - The clock is JetStream's, as for the sales themselves. Until it is known, which it stays once it was, nothing is
//     said of OrderClusters with sales that are not settled: who asks is answered UNAVAILABLE, which leaves KEDA's
//     replicas as they are, and who streams hears nothing, so that what was said last holds.
//   - Every replica of the operator answers, leader or not: what there is to sell is read from its cache, and it has a
//     connection of its own to the NATS of each OrderCluster that it is asked about, and changes nothing there.
//   - Connections and streams are bounded; who comes beyond is refused by RESOURCE_EXHAUSTED.
//   - An error names the key of the trigger's metadata that has to change.
package scaler

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	externalscaler "github.com/orderd-dev/orderd/api/gen/externalscaler"
	"github.com/orderd-dev/orderd/api/gen/externalscaler/externalscalerconnect"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/listing"
)

// lookInterval is how long it takes until who streams learns of a change; longer while JetStream does not answer.
const lookInterval = time.Second

// Service answers KEDA.
type Service struct {
	reader client.Reader
	// indexed: see listing.Promotions.
	indexed    bool
	serverTime func(context.Context, *v1alpha1.OrderCluster) (time.Time, error)
	// leaving is closed when streams have to end.
	leaving <-chan struct{}
}

// newService ends streams when leaving is closed.
func newService(o Options, leaving <-chan struct{}) *Service {
	return &Service{reader: o.Reader, indexed: o.Indexed, serverTime: o.ServerTime, leaving: leaving}
}

// IsActive implements externalscalerconnect.ExternalScalerHandler.
func (s *Service) IsActive(
	ctx context.Context, ref *externalscaler.ScaledObjectRef,
) (*externalscaler.IsActiveResponse, error) {
	peak, err := s.peak(ctx, ref)
	return &externalscaler.IsActiveResponse{Result: peak > 0}, err
}

// StreamIsActive implements externalscalerconnect.ExternalScalerHandler.
func (s *Service) StreamIsActive(
	ctx context.Context, ref *externalscaler.ScaledObjectRef,
	stream externalscalerconnect.ExternalScalerStreamIsActiveServerStream,
) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	told, before := false, false
	for {
		peak, err := s.peak(ctx, ref)
		var unclocked *unclockedError
		if err != nil && !errors.As(err, &unclocked) {
			return err
		}
		if active := peak > 0; err == nil && (!told || active != before) {
			if err := stream.Send(&externalscaler.IsActiveResponse{Result: active}); err != nil {
				return err
			}
			told, before = true, active
		}
		select {
		case <-tick.C:
		case <-s.leaving:
			return connect.NewError(connect.CodeUnavailable, "the operator is going away")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// GetMetricSpec implements externalscalerconnect.ExternalScalerHandler.
func (s *Service) GetMetricSpec(
	_ context.Context, ref *externalscaler.ScaledObjectRef,
) (*externalscaler.GetMetricSpecResponse, error) {
	t, err := triggerOf(ref)
	if err != nil {
		return nil, err
	}
	return &externalscaler.GetMetricSpecResponse{MetricSpecs: []*externalscaler.MetricSpec{
		{MetricName: t.metric(), TargetSize: t.target(), TargetSizeFloat: float64(t.target())},
	}}, nil
}

// GetMetrics implements externalscalerconnect.ExternalScalerHandler. There is one metric, whatever name it is asked for
// by: versions of KEDA put different things before it.
func (s *Service) GetMetrics(
	ctx context.Context, request *externalscaler.GetMetricsRequest,
) (*externalscaler.GetMetricsResponse, error) {
	ref := request.GetScaledObjectRef()
	t, err := triggerOf(ref)
	if err != nil {
		return nil, err
	}
	peak, err := s.peak(ctx, ref)
	if err != nil {
		return nil, err
	}
	value := t.value(peak)
	return &externalscaler.GetMetricsResponse{MetricValues: []*externalscaler.MetricValue{{
		MetricName: cmp.Or(request.GetMetricName(), t.metric()), MetricValue: value, MetricValueFloat: float64(value),
	}}}, nil
}

// peak is how many requests a second are expected of the sales that a ScaledObject asks about and that are on; 0: none
// is.
func (s *Service) peak(ctx context.Context, ref *externalscaler.ScaledObjectRef) (int64, error) {
	t, err := triggerOf(ref)
	if err != nil {
		return 0, err
	}
	var c v1alpha1.OrderCluster
	err = s.reader.Get(ctx, types.NamespacedName{Namespace: t.namespace, Name: t.orderCluster}, &c)
	switch {
	case apierrors.IsNotFound(err):
		return 0, refuse(connect.CodeNotFound, keyOrderCluster, "there is no OrderCluster %q in namespace %q",
			t.orderCluster, t.namespace)
	case err != nil:
		return 0, unavailable(ctx, err)
	}
	sales, err := s.sales(ctx, t)
	if err != nil {
		return 0, err
	}
	sales = slices.DeleteFunc(sales, func(p v1alpha1.PromotionEvent) bool { return settled(&p) })
	if len(sales) == 0 {
		// Whatever time it is.
		return 0, nil
	}
	now, err := s.serverTime(ctx, &c)
	if err != nil {
		return 0, &unclockedError{err}
	}
	sum := int64(0)
	for i := range sales {
		if on(&sales[i], now) {
			sum += int64(sales[i].Spec.Traffic.ExpectedPeakRPS)
		}
	}
	return sum, nil
}

// unclockedError says that the time is not known.
type unclockedError struct{ err error }

// Error has the words of whoever was asked for it.
func (e *unclockedError) Error() string {
	return "it is not known what time it is by JetStream's clock, by which sales go: " + e.err.Error()
}

// Unwrap is the answer to KEDA, which asks again.
func (e *unclockedError) Unwrap() error { return connect.NewError(connect.CodeUnavailable, e.Error()) }

// sales are those that a trigger asks about. One that it names and that is not there is over, and was deleted.
func (s *Service) sales(ctx context.Context, t trigger) ([]v1alpha1.PromotionEvent, error) {
	if t.promotion == "" {
		sales, err := listing.Promotions(ctx, s.reader, s.indexed, t.namespace, t.orderCluster)
		if err != nil {
			return nil, unavailable(ctx, err)
		}
		return sales, nil
	}
	var p v1alpha1.PromotionEvent
	err := s.reader.Get(ctx, types.NamespacedName{Namespace: t.namespace, Name: t.promotion}, &p)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, unavailable(ctx, err)
	case p.Spec.OrderClusterRef.Name != t.orderCluster:
		return nil, refuse(connect.CodeInvalidArgument, keyPromotion, "PromotionEvent %q is of OrderCluster %q, not of %q",
			p.Name, p.Spec.OrderClusterRef.Name, t.orderCluster)
	}
	return []v1alpha1.PromotionEvent{p}, nil
}

// on reports whether a sale is on, or so close that what it needs has to be there.
func on(p *v1alpha1.PromotionEvent, now time.Time) bool {
	return !now.Before(p.ReadyDeadline()) && now.Before(p.End()) && !settled(p)
}

// settled reports whether a sale is over for good.
func settled(p *v1alpha1.PromotionEvent) bool {
	return meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionSettled) && !p.HasForeignStatus()
}

// unavailable is for what is no fault of who asks: KEDA asks again.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return connect.NewError(connect.CodeUnavailable, err.Error())
}
