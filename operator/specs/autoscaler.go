package specs

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// defaultCPUPercent is the default of autoscaling.cpuPercent, which is not filled in where there is no autoscaling.
	defaultCPUPercent = 70
	// inFlightMetric is what pods count the requests by that they work on.
	inFlightMetric = "orderd_requests_in_flight"
)

// autoscaler of a pool that the spec bounds by min and max.
func autoscaler(c *v1alpha1.OrderCluster, pool string) *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	spec := c.Pool(pool)
	name := PoolName(c.Name, pool)
	scaling := v1alpha1.AutoscalingSpec{}
	if spec.Autoscaling != nil {
		scaling = *spec.Autoscaling
	}
	metrics := []*autoscalingv2ac.MetricSpecApplyConfiguration{
		autoscalingv2ac.MetricSpec().WithType(autoscalingv2.ResourceMetricSourceType).
			WithResource(autoscalingv2ac.ResourceMetricSource().WithName(corev1.ResourceCPU).
				WithTarget(autoscalingv2ac.MetricTarget().WithType(autoscalingv2.UtilizationMetricType).
					WithAverageUtilization(ptr.Deref(scaling.CPUPercent, defaultCPUPercent)))),
	}
	if n := scaling.RequestsInFlight; n != nil {
		metrics = append(metrics, autoscalingv2ac.MetricSpec().WithType(autoscalingv2.PodsMetricSourceType).
			WithPods(autoscalingv2ac.PodsMetricSource().
				WithMetric(autoscalingv2ac.MetricIdentifier().WithName(inFlightMetric)).
				WithTarget(autoscalingv2ac.MetricTarget().WithType(autoscalingv2.AverageValueMetricType).
					WithAverageValue(*resource.NewQuantity(int64(*n), resource.DecimalSI)))))
	}
	return autoscalingv2ac.HorizontalPodAutoscaler(name, c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(name)).
			WithMinReplicas(spec.MinReplicas()).WithMaxReplicas(ptr.Deref(spec.Replicas.Max, spec.MinReplicas())).
			WithMetrics(metrics...))
}
