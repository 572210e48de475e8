package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// PoolsSpec has the three pools.
//
// +kubebuilder:validation:XValidation:rule="!has(self.flash) || !has(self.flash.autoscaling)",fieldPath=".flash",message="the flash pool has no autoscaling: the operator scales it for its promotions"
// +kubebuilder:validation:XValidation:rule="!has(self.standard) || !has(self.standard.replicas) || !has(self.standard.replicas.max) || self.standard.replicas.max == self.standard.replicas.min || (has(self.standard.autoscaling) && self.standard.autoscaling.by == 'Others') || (has(self.standard.resources) && has(self.standard.resources.requests) && 'cpu' in self.standard.resources.requests)",fieldPath=".standard.resources",message="a pool that is scaled between min and max needs resources.requests.cpu: what it uses is compared with that"
// +kubebuilder:validation:XValidation:rule="!has(self.worker) || !has(self.worker.replicas) || !has(self.worker.replicas.max) || self.worker.replicas.max == self.worker.replicas.min || (has(self.worker.autoscaling) && self.worker.autoscaling.by == 'Others') || (has(self.worker.resources) && has(self.worker.resources.requests) && 'cpu' in self.worker.resources.requests)",fieldPath=".worker.resources",message="a pool that is scaled between min and max needs resources.requests.cpu: what it uses is compared with that"
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

	// autoscaling is who scales the standard or the worker pool between replicas.min and replicas.max, and by what.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`

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

	// pod has what else the pool's pods need where they run. The migration's pod takes the worker pool's.
	// +optional
	Pod PodSpec `json:"pod,omitzero"`

	// capacityRPS is how many requests a second one pod was measured to serve. The flash pool's replicas for a
	// promotion are computed from it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	CapacityRPS *int32 `json:"capacityRPS,omitempty"`
}

// Scaler is who decides how many pods a pool has.
//
// +kubebuilder:validation:Enum=HorizontalPodAutoscaler;Others
type Scaler string

const (
	// ScalerHPA is a HorizontalPodAutoscaler that the operator makes.
	ScalerHPA Scaler = "HorizontalPodAutoscaler"
	// ScalerOthers is whoever scales the Deployment: KEDA, an autoscaler of your own, a person.
	ScalerOthers Scaler = "Others"
)

// AutoscalingSpec is who scales a pool between its min and its max, and by what.
type AutoscalingSpec struct {
	// by is who scales the pool: HorizontalPodAutoscaler has the operator make one if max is more than min; Others leaves
	// the number of pods alone once the pool is made.
	// +optional
	// +default="HorizontalPodAutoscaler"
	By Scaler `json:"by,omitempty"`

	// cpuPercent of the processor that its pods request, which they should use on average.
	// +optional
	// +default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	CPUPercent *int32 `json:"cpuPercent,omitempty"`

	// requestsInFlight is how many requests a pod should work on at once on average. It needs a cluster that serves the
	// pods' metric orderd_requests_in_flight as a custom metric. Unset: the processor alone counts.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	RequestsInFlight *int32 `json:"requestsInFlight,omitempty"`
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

	// max is the most pods that the pool is scaled to: the flash pool for its promotions, the others by their autoscaling
	// (unset: they have min pods). Unset for the flash pool it is 20, or min if that is more: a digit too many in an
	// expected peak then does not fill the Kubernetes cluster. Promotions that need more at the same time are admitted in
	// order, first those that are live, then those that were made first; the one that does not fit says so by
	// FlashPoolReady and Stalled, and shares the pods that there are.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max *int32 `json:"max,omitempty"`
}
