package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// PodSpec is what a pool's pods need beside what orderd itself needs: of a registry, a mesh, a cloud, a policy. What
// Kubernetes does not take is told in the condition Applied, in its own words.
type PodSpec struct {
	// annotations of the pods.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('orderd.dev/'))",message="annotations must not be orderd.dev/'s: those are the operator's"
	Annotations map[string]PodAnnotation `json:"annotations,omitempty"`

	// labels of the pods, besides those that the operator finds them by.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by']) && !k.startsWith('orderd.dev/'))",message="labels must not be those that the operator sets: app.kubernetes.io/name, instance, component and managed-by, and orderd.dev/'s"
	Labels map[string]NodeLabelValue `json:"labels,omitempty"`

	// imagePullSecrets name the Secrets that the image is pulled with.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []SecretReference `json:"imagePullSecrets,omitempty"`

	// imagePullPolicy is when the image is pulled. Unset: always if its tag is latest, and else unless it is there.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// priorityClassName is the pods' priority.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName is what runs the containers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// affinity of the pods, as in a PodSpec.
	// +optional
	Affinity *PodPart `json:"affinity,omitempty"`

	// topologySpreadConstraints of the pods, as in a PodSpec; those without a labelSelector are about the pool's pods.
	// Unset: the pods are spread over hosts and zones as well as it goes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []PodPart `json:"topologySpreadConstraints,omitempty"`

	// serviceAccount is what the pods run as. They have no token of it: what annotations give it is for clouds and meshes.
	// +optional
	ServiceAccount ServiceAccountSpec `json:"serviceAccount,omitzero"`

	// env of the container, as in a PodSpec: proxies, agents, GOMEMLIMIT and GOGC.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['POD_NAME', 'POD_IP', 'SSL_CERT_DIR']))",message="env must not have POD_NAME, POD_IP and SSL_CERT_DIR: those are the operator's (spec.trust for certificates)"
	Env []EnvVar `json:"env,omitempty"`

	// volumes of the pods, as in a PodSpec, for volumeMounts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Volumes []PodPart `json:"volumes,omitempty"`

	// volumeMounts of the container.
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`
}

// PodPart is a part of a PodSpec as Kubernetes has it. Its fields are checked when it is applied.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
type PodPart struct {
	runtime.RawExtension `json:",inline"`
}

// PodAnnotation is the value of a pod's annotation.
//
// +kubebuilder:validation:MaxLength=65536
type PodAnnotation string

// ServiceAccountSpec is what pods run as.
//
// +kubebuilder:validation:XValidation:rule="!has(self.name) || !has(self.annotations)",fieldPath=".annotations",message="annotations are for the ServiceAccount that the operator makes: one that is named has its own"
type ServiceAccountSpec struct {
	// name of one that is there. Unset: the operator makes one for the pool.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// annotations of the one that the operator makes.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]PodAnnotation `json:"annotations,omitempty"`
}

// EnvVar is one variable of the container's environment.
//
// +kubebuilder:validation:XValidation:rule="!has(self.value) || !has(self.valueFrom)",fieldPath=".valueFrom",message="one of value and valueFrom may be set"
type EnvVar struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name,omitempty"`

	// value of the variable.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=32768
	Value *string `json:"value,omitempty"`

	// valueFrom is where else the value is, as in a PodSpec: a Secret, a ConfigMap, a field of the pod. A change of the
	// Secret or ConfigMap restarts nothing.
	// +optional
	ValueFrom *PodPart `json:"valueFrom,omitempty"`
}

// VolumeMount is where the container sees a volume.
type VolumeMount struct {
	// name of the volume.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// mountPath is where the container sees it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.startsWith('/etc/orderd') && !self.startsWith('/etc/ssl/certs')",message="mountPath must be absolute, and not below /etc/orderd or /etc/ssl/certs"
	MountPath string `json:"mountPath,omitempty"`

	// subPath is the part of the volume that is mounted. Unset: all of it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	SubPath string `json:"subPath,omitempty"`

	// readOnly keeps the container from writing to it.
	// +optional
	ReadOnly *bool `json:"readOnly,omitempty"`
}
