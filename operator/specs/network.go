package specs

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// networkPolicy says who may connect to a pool's pods: anybody to the RPCs, which ask for a token,
// and to the admin port, which probes and whatever collects metrics come to; only pods of the same
// OrderCluster to the calls between pods, which ask for no token but for the OrderCluster's key. It needs
// a network plugin that enforces it. What the pods themselves connect to is not restricted.
func networkPolicy(c *v1alpha1.OrderCluster, pool string) *networkingv1ac.NetworkPolicyApplyConfiguration {
	open := networkingv1ac.NetworkPolicyIngressRule()
	if pool != v1alpha1.PoolWorker {
		open = open.WithPorts(networkPolicyPort(rpcPort))
	}
	spec := networkingv1ac.NetworkPolicySpec().
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(selector(c.Name, pool))).
		WithPolicyTypes(networkingv1.PolicyTypeIngress).
		WithIngress(open.WithPorts(networkPolicyPort(adminPort)))
	if pool == v1alpha1.PoolFlash {
		own := networkingv1ac.NetworkPolicyPeer().WithPodSelector(
			metav1ac.LabelSelector().WithMatchLabels(InstanceLabels(c.Name)),
		)
		spec = spec.WithIngress(
			networkingv1ac.NetworkPolicyIngressRule().WithPorts(networkPolicyPort(peerPort)).WithFrom(own),
		)
	}
	return networkingv1ac.NetworkPolicy(PoolName(c.Name, pool), c.Namespace).
		WithLabels(labels(c.Name, pool)).
		WithOwnerReferences(owner(c)).
		WithSpec(spec)
}

func networkPolicyPort(port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol("TCP").WithPort(intstr.FromInt32(port))
}
