package specs

import (
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// Pool is everything that makes up one pool, in the order in which it is applied, but for how many pods it has: the
// Deployment's scale may be somebody else's.
func Pool(c *v1alpha1.OrderCluster, pool string, start Start) []runtime.ApplyConfiguration {
	objects := []runtime.ApplyConfiguration{configMap(c, pool, start)}
	if c.Pool(pool).Pod.ServiceAccount.Name == "" {
		objects = append(objects, serviceAccount(c, pool))
	}
	objects = append(objects,
		service(c, pool),
		networkPolicy(c, pool),
		disruptionBudget(c, pool),
		deployment(c, pool, start),
	)
	if c.ScaledBy(pool) == v1alpha1.ScalerHPA {
		objects = append(objects, autoscaler(c, pool))
	}
	return objects
}

func serviceAccount(c *v1alpha1.OrderCluster, pool string) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithAnnotations(annotations(c.Pool(pool).Pod.ServiceAccount.Annotations)).
		WithOwnerReferences(owner(c)).
		WithAutomountServiceAccountToken(false)
}

func deployment(c *v1alpha1.OrderCluster, pool string, start Start) *appsv1ac.DeploymentApplyConfiguration {
	template := podTemplate(c, pool, start)
	return appsv1ac.Deployment(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithAnnotations(map[string]string{TemplateAnnotation: templateHash(template), ByAnnotation: start.By}).
		WithOwnerReferences(owner(c)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithRevisionHistoryLimit(3).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(c.Name, pool))).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(rolling())).
			WithTemplate(template))
}

// MarkUnscaled marks the Deployment among objects that are made now.
func MarkUnscaled(objects []runtime.ApplyConfiguration) {
	for _, o := range objects {
		if d, ok := o.(*appsv1ac.DeploymentApplyConfiguration); ok {
			d.WithAnnotations(map[string]string{UnscaledAnnotation: "true"})
		}
	}
}

// Template is the hash of a pool's pods as they would be applied.
func Template(c *v1alpha1.OrderCluster, pool string, start Start) string {
	return templateHash(podTemplate(c, pool, start))
}

func templateHash(template *corev1ac.PodTemplateSpecApplyConfiguration) string {
	// Maps are written with sorted keys, so that the same template has the same hash.
	raw, err := json.Marshal(template)
	if err != nil {
		// It is made of what can be written as JSON, so this cannot be.
		panic(err)
	}
	return hash(string(raw))
}

// rolling keeps every pod until another one has taken its place: new pods that do not start take none away.
func rolling() *appsv1ac.RollingUpdateDeploymentApplyConfiguration {
	return appsv1ac.RollingUpdateDeployment().
		WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromInt32(1))
}

func service(c *v1alpha1.OrderCluster, pool string) *corev1ac.ServiceApplyConfiguration {
	ports := []*corev1ac.ServicePortApplyConfiguration{}
	if pool != v1alpha1.PoolWorker {
		// kubernetes.io/h2c tells meshes and gateways that gRPC in clear text may come; HTTP/1.1 is
		// served on it as well.
		protocol := "kubernetes.io/h2c"
		if c.Spec.TLS != nil {
			protocol = "https"
		}
		ports = append(ports, servicePort("rpc", rpcPort).WithAppProtocol(protocol))
	}
	if pool == v1alpha1.PoolFlash {
		ports = append(ports, servicePort("peer", peerPort).WithAppProtocol("kubernetes.io/h2c"))
	}
	ports = append(ports, servicePort("admin", adminPort).WithAppProtocol("http"))
	return corev1ac.Service(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			// Pods listen on both families: the Service has those that the Kubernetes cluster has.
			WithIPFamilyPolicy(corev1.IPFamilyPolicyPreferDualStack).
			WithSelector(selector(c.Name, pool)).
			WithPorts(ports...))
}

func servicePort(name string, port int32) *corev1ac.ServicePortApplyConfiguration {
	return corev1ac.ServicePort().WithName(
		name,
	).WithPort(port).WithProtocol(corev1.ProtocolTCP).WithTargetPort(intstr.FromString(name))
}

func disruptionBudget(c *v1alpha1.OrderCluster, pool string) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(c.Name, pool))))
}
