package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OrderCluster is one running order platform: the standard, flash and worker pools of orderd pods,
// which share one database and one NATS account.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=oc,categories=orderd
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Standard",type=integer,JSONPath=`.status.pools[?(@.name=="standard")].available`
// +kubebuilder:printcolumn:name="Flash",type=integer,JSONPath=`.status.pools[?(@.name=="flash")].available`
// +kubebuilder:printcolumn:name="Worker",type=integer,JSONPath=`.status.pools[?(@.name=="worker")].available`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`,priority=1
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.status.endpoint`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 40 lower-case letters, digits and '-', starting with a letter: Services are named after it"
type OrderCluster struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the platform should be.
	// +required
	Spec OrderClusterSpec `json:"spec,omitzero"`

	// status is what the platform is. Written by the operator.
	// +optional
	Status OrderClusterStatus `json:"status,omitzero"`
}

// OrderClusterList is a list of OrderClusters.
//
// +kubebuilder:object:root=true
type OrderClusterList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the OrderClusters.
	Items []OrderCluster `json:"items"`
}

// OrderClusterSpec is what the platform should be.
type OrderClusterSpec struct {
	// image of orderd that every pool runs. A new image is rolled out only after its migration has finished.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// database that orders, payments and stock are kept in: CockroachDB 22.1 or later, or PostgreSQL.
	// +required
	Database DatabaseSpec `json:"database,omitzero"`

	// messaging is the NATS system with JetStream that promotions and order events go through.
	// +required
	Messaging MessagingSpec `json:"messaging,omitzero"`

	// pools are the groups of pods, one a role.
	// +optional
	Pools PoolsSpec `json:"pools,omitzero"`

	// payments are the payment providers that buyers can pay through.
	// +optional
	// +listType=map
	// +listMapKey=provider
	// +kubebuilder:validation:MaxItems=16
	Payments []PaymentSpec `json:"payments,omitempty"`

	// carriers are who takes parcels to buyers. Shipments that name none go with the first.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Carriers []CarrierSpec `json:"carriers,omitempty"`

	// notifications is the app's push gateway, which tells buyers what happened to their orders. Unset: nobody is told.
	// +optional
	Notifications *NotificationsSpec `json:"notifications,omitempty"`

	// auth is who issues the tokens that callers come with.
	// +required
	Auth AuthSpec `json:"auth,omitzero"`

	// http says who may call the RPCs for apps besides those who have a token and no browser.
	// +optional
	HTTP HTTPSpec `json:"http,omitzero"`

	// orders has the rules of the order life cycle.
	// +optional
	Orders OrdersSpec `json:"orders,omitzero"`

	// flash has the rules of the flash pool.
	// +optional
	Flash FlashSpec `json:"flash,omitzero"`

	// paused stops the operator from changing anything that belongs to this OrderCluster. What runs goes on running.
	// +optional
	Paused *bool `json:"paused,omitempty"`
}

// PoolsSpec has the three pools.
type PoolsSpec struct {
	// standard serves orders, payments and queries.
	// +optional
	Standard PoolSpec `json:"standard,omitzero"`

	// flash serves promotions. It has no database connection.
	// +optional
	Flash PoolSpec `json:"flash,omitzero"`

	// worker writes flash orders to the database, expires unpaid orders and relays order events.
	// +optional
	Worker PoolSpec `json:"worker,omitzero"`
}

// PoolSpec is one pool of pods.
type PoolSpec struct {
	// replicas bounds how many pods the pool has.
	// +optional
	Replicas PoolReplicas `json:"replicas,omitzero"`

	// resources of each pod's container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`

	// nodeSelector has the labels of the nodes that the pool's pods run on; unset: any. A sale takes all of the processors
	// that it can get: on nodes of its own it does not slow ordinary orders down.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'))",message="values of nodeSelector must be label values: letters, digits, '-', '_' and '.', starting and ending with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",message="keys of nodeSelector must be label keys, such as kubernetes.io/os"
	NodeSelector map[string]NodeLabelValue `json:"nodeSelector,omitempty"`

	// tolerations let the pool's pods run on nodes whose taints keep others away.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, (has(t.operator) && t.operator == 'Exists') || (has(t.key) && t.key != ''))",message="a toleration without a key needs operator Exists: it tolerates every taint"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator != 'Exists' || !has(t.value) || t.value == '')",message="a toleration with operator Exists must have no value"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator in ['Exists', 'Equal'])",message="operator of a toleration must be Exists or Equal"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute'])",message="effect of a toleration must be NoSchedule, PreferNoSchedule or NoExecute"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.tolerationSeconds) || (has(t.effect) && t.effect == 'NoExecute'))",message="tolerationSeconds needs effect NoExecute"
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// capacityRPS is how many requests a second one pod was measured to serve. The flash pool's replicas for a
	// promotion are computed from it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	CapacityRPS *int32 `json:"capacityRPS,omitempty"`
}

// NodeLabelValue is the value of a node's label.
//
// +kubebuilder:validation:MaxLength=63
type NodeLabelValue string

// PoolReplicas bounds how many pods a pool has.
//
// +kubebuilder:validation:XValidation:rule="!has(self.max) || !has(self.min) || self.max >= self.min",fieldPath=".max",message="max must not be less than min"
type PoolReplicas struct {
	// min is how many pods the pool has when nothing asks for more.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Min *int32 `json:"min,omitempty"`

	// max is the most pods the flash pool is scaled to for its promotions; unset: what they need. Nothing scales the
	// standard and worker pools yet: they have min pods.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max *int32 `json:"max,omitempty"`
}

// HTTPSpec has what the pods' address for apps allows.
type HTTPSpec struct {
	// allowedOrigins are the sites whose pages may call the RPCs from a browser (CORS), as scheme://host or
	// scheme://host:port. Unset: no other site's.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=261
	// +kubebuilder:validation:items:Pattern=`^https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$`
	// +kubebuilder:validation:XValidation:rule="self.all(o, !o.matches('^http://.*:80$|^https://.*:443$'))",message="allowedOrigins must leave out the port that is the scheme's own (80, 443): browsers do"
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`

	// reflection answers whoever reaches the pods, without a token, what RPCs there are and what they take (gRPC server
	// reflection, as grpcurl, buf curl and Postman use it).
	// +optional
	Reflection *bool `json:"reflection,omitempty"`
}

// FlashSpec has the rules of the flash pool.
type FlashSpec struct {
	// maxClockSkew is how far a flash pod's clock may be from the NATS servers' before the pod is not ready. Sales open
	// and close by the servers' clock, whatever the pod's own says.
	// +optional
	// +default="500ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('50ms') && duration(self) <= duration('1m')",message="maxClockSkew must be between 50ms and 1m"
	MaxClockSkew *metav1.Duration `json:"maxClockSkew,omitempty"`
}

// OrdersSpec has the rules of the order life cycle.
type OrdersSpec struct {
	// paymentTimeout is how long an order of the standard lane waits for its payment before it expires and its stock is
	// released.
	// +optional
	// +default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="paymentTimeout must be between 10s and 168h"
	PaymentTimeout *metav1.Duration `json:"paymentTimeout,omitempty"`

	// quoteTTL is how long a quote's token can be placed.
	// +optional
	// +default="15m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="quoteTTL must be between 10s and 24h"
	QuoteTTL *metav1.Duration `json:"quoteTTL,omitempty"`

	// completeAfter is how long after its delivery an order is completed, unless the buyer confirms the receipt before.
	// +optional
	// +default="240h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('2160h')",message="completeAfter must be between 1s and 2160h"
	CompleteAfter *metav1.Duration `json:"completeAfter,omitempty"`

	// returnWindow is how long after its delivery goods of an order can be returned.
	// +optional
	// +default="360h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="returnWindow must be between 1s and 8760h"
	ReturnWindow *metav1.Duration `json:"returnWindow,omitempty"`

	// materializePerSecond is how many orders of the flash lane all worker pods together write to the database in a
	// second, at most, so that a sale leaves the database to ordinary orders.
	// +optional
	// +default=2000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaterializePerSecond *int32 `json:"materializePerSecond,omitempty"`

	// materializeConcurrency is with how many transactions at once a worker pod writes them. It should be less than
	// database.maxConnectionsPerPod.
	// +optional
	// +default=4
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=32
	MaterializeConcurrency *int32 `json:"materializeConcurrency,omitempty"`
}

// OrderClusterStatus is what the platform is.
type OrderClusterStatus struct {
	// conditions are Ready, DatabaseReady, MessagingReady, Migrated and Progressing.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// endpoint is the base URL of the standard pool inside the cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Endpoint string `json:"endpoint,omitempty"`

	// flashEndpoint is the base URL of the flash pool inside the cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	FlashEndpoint string `json:"flashEndpoint,omitempty"`

	// migration is the last migration that finished.
	// +optional
	Migration MigrationStatus `json:"migration,omitzero"`

	// pools has the pods of each pool.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Pools []PoolStatus `json:"pools,omitempty"`
}

// MigrationStatus is the last migration that finished.
type MigrationStatus struct {
	// revision names the image and the settings that were migrated to.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Revision string `json:"revision,omitempty"`

	// image that ran the migration, which the pools may therefore run.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// completionTime is when it finished.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitzero"`
}

// PoolStatus counts the pods of one pool.
type PoolStatus struct {
	// name of the pool: standard, flash or worker.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`

	// desired is how many pods the pool should have now, promotions included.
	// +optional
	Desired *int32 `json:"desired,omitempty"`

	// updated is how many pods run the present image and settings.
	// +optional
	Updated *int32 `json:"updated,omitempty"`

	// available is how many pods serve.
	// +optional
	Available *int32 `json:"available,omitempty"`
}
