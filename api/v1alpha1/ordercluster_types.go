package v1alpha1

import (
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

	// trust has the certificates of authorities that pods and operator believe besides the public ones: a company's own,
	// for the issuer of tokens, carriers, the push gateway, payment providers, and for database and messaging unless those
	// have a caSecretRef.
	// +optional
	Trust *TrustSpec `json:"trust,omitempty"`

	// tls makes the standard and flash pools speak TLS, HTTP/1.1 and HTTP/2, with those who call the RPCs for apps. Unset:
	// they speak in clear text, for a gateway or a mesh that does. Calls between pods are in clear text in any case; they
	// prove that they come from a pod of this OrderCluster.
	// +optional
	TLS *TLSSpec `json:"tls,omitempty"`

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

	// rollout says when running pods are replaced.
	// +optional
	Rollout RolloutSpec `json:"rollout,omitzero"`

	// paused stops the operator from changing anything that belongs to this OrderCluster. What runs goes on running.
	// +optional
	Paused *bool `json:"paused,omitempty"`
}

// DuringSale is what happens to a roll of the flash pool while a sale needs it.
//
// +kubebuilder:validation:Enum=Wait;Now
type DuringSale string

const (
	// DuringSaleWait lets it wait until no sale is live or about to be.
	DuringSaleWait DuringSale = "Wait"
	// DuringSaleNow does not.
	DuringSaleNow DuringSale = "Now"
)

// RolloutSpec says when running pods are replaced.
type RolloutSpec struct {
	// duringSale is what happens to a change that replaces the flash pool's pods while a sale is live, or close enough for
	// its pods to be there: Wait until it has ended, or Now. A roll that waits is told in the condition Progressing.
	// +optional
	// +default="Wait"
	DuringSale DuringSale `json:"duringSale,omitempty"`
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

	// maxConnectionAge is how old a connection gets before its caller is told to make another one (GOAWAY over HTTP/2,
	// Connection: close over HTTP/1.1), a tenth more or less: by that, pods that came later get their share of callers
	// who keep their connections. Streams end then, with an error that says to go on with a new one. 0s: as old as it
	// likes.
	// +optional
	// +default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="maxConnectionAge must be 0s, or between 1s and 24h"
	MaxConnectionAge *metav1.Duration `json:"maxConnectionAge,omitempty"`

	// connectionGrace is how long requests and streams that are under way on a connection of that age may take, before
	// they are cut off.
	// +optional
	// +default="20s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('10m')",message="connectionGrace must be between 10s and 10m: a request may take 10s"
	ConnectionGrace *metav1.Duration `json:"connectionGrace,omitempty"`

	// drainDelay is how long a pod that is to end goes on answering as before, until those who send to it know: load
	// balancers outside the cluster may need longer.
	// +optional
	// +default="3s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('10m')",message="drainDelay must be at most 10m"
	DrainDelay *metav1.Duration `json:"drainDelay,omitempty"`

	// drainTimeout is how long requests that are in flight after that may take. A pod's termination grace period is both
	// together, and 22 seconds for what else it has to end.
	// +optional
	// +default="20s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="drainTimeout must be between 1s and 10m"
	DrainTimeout *metav1.Duration `json:"drainTimeout,omitempty"`

	// reflection answers whoever reaches the pods, without a token, what RPCs there are and what they take (gRPC server
	// reflection, as grpcurl, buf curl and Postman use it).
	// +optional
	Reflection *bool `json:"reflection,omitempty"`
}

// FlashSpec has the rules of the flash pool.
type FlashSpec struct {
	// maxClockSkew is how far a flash pod's clock may be from the NATS servers' before the pod is not ready, and the
	// operator's before the condition ClockInSync is False. Sales open and close by the servers' clock, whatever their
	// own says.
	// +optional
	// +default="500ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('50ms') && duration(self) <= duration('1m')",message="maxClockSkew must be between 50ms and 1m"
	MaxClockSkew *metav1.Duration `json:"maxClockSkew,omitempty"`
}

// OrderClusterStatus is what the platform is.
type OrderClusterStatus struct {
	// conditions are Ready, Reconciling, Stalled, DatabaseReady, MessagingReady, Migrated, Applied, Progressing,
	// Secure and ClockInSync.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// uid is the metadata.uid of the OrderCluster that this status is about. A status of another one, as after a
	// restore from a backup, is forgotten.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]{1,64}$`
	UID string `json:"uid,omitempty"`

	// observedGeneration is the metadata.generation that was last applied as a whole.
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
