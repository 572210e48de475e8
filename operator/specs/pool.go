package specs

import (
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

// Pool is everything that makes up one pool, in the order in which it is applied.
func Pool(c *v1alpha1.OrderCluster, pool, configHash string, replicas int32) []runtime.ApplyConfiguration {
	return []runtime.ApplyConfiguration{
		serviceAccount(c, pool),
		service(c, pool),
		networkPolicy(c, pool),
		disruptionBudget(c, pool),
		deployment(c, pool, configHash, replicas),
	}
}

func serviceAccount(c *v1alpha1.OrderCluster, pool string) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithAutomountServiceAccountToken(false)
}

func deployment(
	c *v1alpha1.OrderCluster, pool, configHash string, replicas int32,
) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithReplicas(replicas).
			WithRevisionHistoryLimit(3).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(c.Name, pool))).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(rolling(pool))).
			WithTemplate(podTemplate(c, pool, configHash)))
}

// rolling keeps every pod that serves buyers until another one has taken its place. Workers' work
// waits in the log and in the database meanwhile.
func rolling(pool string) *appsv1ac.RollingUpdateDeploymentApplyConfiguration {
	unavailable := int32(0)
	if pool == v1alpha1.PoolWorker {
		unavailable = 1
	}
	return appsv1ac.RollingUpdateDeployment().
		WithMaxUnavailable(intstr.FromInt32(unavailable)).WithMaxSurge(intstr.FromInt32(1))
}

func service(c *v1alpha1.OrderCluster, pool string) *corev1ac.ServiceApplyConfiguration {
	ports := []*corev1ac.ServicePortApplyConfiguration{}
	if pool != v1alpha1.PoolWorker {
		// kubernetes.io/h2c tells meshes and gateways that gRPC in clear text may come; HTTP/1.1 is
		// served on it as well.
		ports = append(ports, servicePort("rpc", rpcPort).WithAppProtocol("kubernetes.io/h2c"))
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
