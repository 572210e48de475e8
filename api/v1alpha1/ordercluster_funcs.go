package v1alpha1

import (
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	defaultMaxClockSkew           = 500 * time.Millisecond
	defaultMaxFlashReplicas int32 = 20
)

// The pools' names, which are also the roles of their pods.
const (
	PoolStandard = "standard"
	PoolFlash    = "flash"
	PoolWorker   = "worker"
)

// GetConditions returns the status conditions, for code that works on either resource.
func (c *OrderCluster) GetConditions() *[]metav1.Condition { return &c.Status.Conditions }

// HasForeignStatus reports whether the status is about another UID, as after a restore from a backup. It says nothing
// of this one then.
func (c *OrderCluster) HasForeignStatus() bool {
	return c.Status.UID != string(c.UID) && !reflect.DeepEqual(c.Status, OrderClusterStatus{})
}

// ClearStatus leaves in the status only whom it is about.
func (c *OrderCluster) ClearStatus() { c.Status = OrderClusterStatus{UID: string(c.UID)} }

// MigratedRevision is what the database was migrated to; "": it is not known to have been.
func (c *OrderCluster) MigratedRevision() string {
	if c.HasForeignStatus() {
		return ""
	}
	return c.Status.Migration.Revision
}

// IsPaused reports whether the operator must not change anything.
func (c *OrderCluster) IsPaused() bool { return c.Spec.Paused != nil && *c.Spec.Paused }

// AllowsInsecureDatabase reports whether the database's URL may be of another sslmode than verify-full.
func (c *OrderCluster) AllowsInsecureDatabase() bool {
	return c.Spec.Database.Insecure != nil && *c.Spec.Database.Insecure
}

// MessagingReplicas of every stream and bucket; 1 unless set.
func (c *OrderCluster) MessagingReplicas() int {
	if r := c.Spec.Messaging.Replicas; r != nil {
		return int(*r)
	}
	return 1
}

// MaxClockSkew between the clocks of pods or operator and JetStream's; 500 ms unless set.
func (c *OrderCluster) MaxClockSkew() time.Duration {
	if d := c.Spec.Flash.MaxClockSkew; d != nil {
		return d.Duration
	}
	return defaultMaxClockSkew
}

// RoleOperator is the operator's own role in NATS; the others that pods have are named as their pools.
const RoleOperator = "operator"

// MessagingCredentials are where a role's credentials for NATS are: those of all roles, or its own; nil: it needs none.
func (c *OrderCluster) MessagingCredentials(role string) *SecretKeyReference {
	if own := c.Spec.Messaging.RoleCredentialsSecretRef; own != nil {
		return &SecretKeyReference{Name: own.Name, Key: role + ".creds"}
	}
	return c.Spec.Messaging.CredentialsSecretRef
}

// Pool returns the named pool's spec; the zero value for an unknown name.
func (c *OrderCluster) Pool(name string) PoolSpec {
	switch name {
	case PoolStandard:
		return c.Spec.Pools.Standard
	case PoolFlash:
		return c.Spec.Pools.Flash
	case PoolWorker:
		return c.Spec.Pools.Worker
	}
	return PoolSpec{}
}

// PoolStatusOf returns the named pool's status; the zero value if there is none.
func (c *OrderCluster) PoolStatusOf(name string) PoolStatus { return c.Status.Pool(name) }

// Pool returns the named pool's status; the zero value if there is none.
func (s *OrderClusterStatus) Pool(name string) PoolStatus {
	for _, p := range s.Pools {
		if p.Name == name {
			return p
		}
	}
	return PoolStatus{}
}

// ScaledBy is who decides how many pods the pool has; "": the operator.
func (c *OrderCluster) ScaledBy(pool string) Scaler {
	spec := c.Pool(pool)
	switch {
	case pool == PoolFlash:
		return ""
	case spec.Autoscaling != nil && spec.Autoscaling.By == ScalerOthers:
		return ScalerOthers
	case spec.Replicas.Max != nil && *spec.Replicas.Max > spec.MinReplicas():
		return ScalerHPA
	}
	return ""
}

// MaxFlashReplicas is the most pods that the flash pool is scaled to: 20 unless set, or its min if that is more.
func (c *OrderCluster) MaxFlashReplicas() int32 {
	if limit := c.Spec.Pools.Flash.Replicas.Max; limit != nil {
		return *limit
	}
	return max(defaultMaxFlashReplicas, c.Spec.Pools.Flash.MinReplicas())
}

// MinReplicas of the pool; 1 unless set.
func (p PoolSpec) MinReplicas() int32 {
	if p.Replicas.Min != nil {
		return *p.Replicas.Min
	}
	return 1
}
