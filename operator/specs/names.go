// Package specs builds the objects that make up an OrderCluster. Its functions are pure: the same
// input gives the same object, so that server-side apply changes nothing when nothing changed.
package specs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// ConfigHashAnnotation on pods is a hash of what they read when they start: a change rolls them.
	ConfigHashAnnotation = "orderd.dev/config-hash"
	// TemplateAnnotation on Deployments is a hash of their pods as they were applied: another one is
	// a roll. ByAnnotation is the version of the operator that applied them.
	TemplateAnnotation = "orderd.dev/template-hash"
	ByAnnotation       = "orderd.dev/applied-by"
	// UnscaledAnnotation is on a Deployment from its making until it has been given its number of pods.
	UnscaledAnnotation = "orderd.dev/unscaled"
	// RevisionLabel on migration Jobs and their ConfigMaps is the revision they migrate to.
	RevisionLabel = "orderd.dev/revision"
	// AttemptAnnotation on migration Jobs counts the attempts at a revision, from 1.
	AttemptAnnotation = "orderd.dev/attempt"

	// OrderIDKey is the key of the keys Secret that buyers are hashed with in order ids.
	OrderIDKey = "order-id-key"

	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"
	labelManagedBy = "app.kubernetes.io/managed-by"

	appName          = "orderd"
	manager          = "orderd-operator"
	migrateComponent = "migrate"
	configKey        = "config.yaml"
)

// Pools are the names of all pools, in the order in which they are made.
func Pools() []string {
	return []string{v1alpha1.PoolStandard, v1alpha1.PoolFlash, v1alpha1.PoolWorker}
}

// PoolName names a pool's Deployment, Service, ServiceAccount, NetworkPolicy and PodDisruptionBudget.
func PoolName(cluster, pool string) string { return cluster + "-" + pool }

// KeysName names the Secret with the order id key.
func KeysName(cluster string) string { return cluster + "-keys" }

// Endpoint is a pool's base URL for apps inside the Kubernetes cluster.
func Endpoint(c *v1alpha1.OrderCluster, pool string) string {
	scheme := "http"
	if c.Spec.TLS != nil {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s:%d", scheme, serviceHost(c, pool), rpcPort)
}

func serviceHost(c *v1alpha1.OrderCluster, pool string) string {
	return PoolName(c.Name, pool) + "." + c.Namespace + ".svc"
}

func selector(cluster, component string) map[string]string {
	return map[string]string{labelName: appName, labelInstance: cluster, labelComponent: component}
}

func labels(cluster, component string) map[string]string {
	l := selector(cluster, component)
	l[labelManagedBy] = manager
	return l
}

// InstanceLabels select everything that belongs to one OrderCluster.
func InstanceLabels(cluster string) map[string]string {
	return map[string]string{labelName: appName, labelInstance: cluster, labelManagedBy: manager}
}

// owner makes the OrderCluster the controller of an object. With the UID in it, nothing is made for
// an OrderCluster of the same name that was deleted: the garbage collector takes it at once.
func owner(c *v1alpha1.OrderCluster) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("OrderCluster").
		WithName(c.Name).WithUID(c.UID).WithController(true).WithBlockOwnerDeletion(true)
}

// hash of the parts, each of them apart: 16 hexadecimal digits.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// A length before each part keeps ("ab", "c") and ("a", "bc") apart.
		var size [8]byte
		for i, n := 0, len(p); i < 8; i, n = i+1, n>>8 {
			size[i] = byte(n)
		}
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
