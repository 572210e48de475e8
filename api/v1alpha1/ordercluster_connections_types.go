package v1alpha1

// SecretKeyReference names one key of a Secret in the same namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// SecretReference names a Secret in the same namespace.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// DatabaseSpec is where the database is.
type DatabaseSpec struct {
	// urlSecretRef names the Secret's key that holds a postgres:// URL. A change of the Secret restarts the pods.
	// +required
	URLSecretRef SecretKeyReference `json:"urlSecretRef,omitzero"`

	// maxConnectionsPerPod is the most connections a standard or worker pod opens. The flash pool opens none.
	// +optional
	// +default=16
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1000
	MaxConnectionsPerPod *int32 `json:"maxConnectionsPerPod,omitempty"`
}

// MessagingSpec is where NATS is.
type MessagingSpec struct {
	// url of the NATS system: nats:// or tls://, or several joined by commas.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^(nats|tls)://[^@/ ,]+(,(nats|tls)://[^@/ ,]+)*$')",message="url must be nats://host:port or tls://host:port, or several joined by commas, without user or password (use credentialsSecretRef)"
	URL string `json:"url,omitempty"`

	// credentialsSecretRef names the Secret's key that holds a NATS .creds file. Each OrderCluster needs a NATS account of
	// its own.
	// +optional
	CredentialsSecretRef *SecretKeyReference `json:"credentialsSecretRef,omitempty"`

	// replicas of every stream and bucket in JetStream.
	// +optional
	// +default=1
	// +kubebuilder:validation:Enum=1;3;5
	Replicas *int32 `json:"replicas,omitempty"`
}

// PaymentProvider is the name of a payment provider.
//
// +kubebuilder:validation:Enum=sandbox;stripe;alipay;wechatpay
type PaymentProvider string

// PaymentProviderSandbox is orderd's own provider for tests and demonstrations: no money moves.
const PaymentProviderSandbox PaymentProvider = "sandbox"

// PaymentSpec is one payment provider.
//
// +kubebuilder:validation:XValidation:rule="(self.provider == 'sandbox') == has(self.secretRef)",fieldPath=".secretRef",message="the sandbox needs secretRef, and it alone"
// +kubebuilder:validation:XValidation:rule="(self.provider != 'sandbox') == has(self.keysSecretRef)",fieldPath=".keysSecretRef",message="every provider but the sandbox needs keysSecretRef"
type PaymentSpec struct {
	// provider is its name.
	// +required
	Provider PaymentProvider `json:"provider,omitempty"`

	// secretRef names the Secret's key that holds the key the sandbox's notifications are signed with.
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`

	// keysSecretRef names the Secret that holds the provider's keys and certificates, under the names that the
	// provider's package documents.
	// +optional
	KeysSecretRef *SecretReference `json:"keysSecretRef,omitempty"`

	// settings of the provider that are no secrets, such as the merchant's id, under the names that the provider's
	// package documents.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Settings map[string]string `json:"settings,omitempty"`

	// publicURL is the platform's base URL as buyers and the provider reach it. Unset: the standard pool's Service.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^ ]+[^/ ]$') && isURL(self)",message="publicURL must be an http:// or https:// URL without a trailing slash"
	PublicURL string `json:"publicURL,omitempty"`
}

// CarrierSpec is one carrier.
type CarrierSpec struct {
	// name of the carrier, as staff and buyers see it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// url is the base URL of its API.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^ ]+[^/ ]$') && isURL(self)",message="url must be an http:// or https:// URL without a trailing slash"
	URL string `json:"url,omitempty"`

	// secretRef names the Secret's key that holds the key requests to the carrier, and its pushes, are signed with.
	// +required
	SecretRef SecretKeyReference `json:"secretRef,omitzero"`
}

// NotificationsSpec is the app's push gateway.
type NotificationsSpec struct {
	// url that messages are posted to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^ ]+$') && isURL(self)",message="url must be an http:// or https:// URL"
	URL string `json:"url,omitempty"`

	// secretRef names the Secret's key that holds the key (whsec_…) messages are signed with, by Standard Webhooks.
	// +required
	SecretRef SecretKeyReference `json:"secretRef,omitzero"`
}

// AuthSpec is the issuer of callers' tokens: JSON Web Tokens with the claims sub and roles.
type AuthSpec struct {
	// issuer that tokens must name (iss).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Issuer string `json:"issuer,omitempty"`

	// audience that tokens must name (aud).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Audience string `json:"audience,omitempty"`

	// jwksURL has the issuer's public keys.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^ ]+$') && isURL(self)",message="jwksURL must be an http:// or https:// URL"
	JWKSURL string `json:"jwksURL,omitempty"`

	// requestsPerSecond is what one caller may do at each pod.
	// +optional
	// +default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// burst is how many requests of one caller a pod takes at once.
	// +optional
	// +default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Burst *int32 `json:"burst,omitempty"`

	// services is what one service may do at each pod: a backend, which acts for many buyers with one token. Unset: what
	// the pod can do.
	// +optional
	Services ServiceLimitsSpec `json:"services,omitzero"`
}

// ServiceLimitsSpec is what one service may do at each pod.
//
// +kubebuilder:validation:XValidation:rule="has(self.requestsPerSecond) || !has(self.burst)",fieldPath=".requestsPerSecond",message="burst needs requestsPerSecond"
type ServiceLimitsSpec struct {
	// requestsPerSecond is what one service may do at each pod; a message of a stream counts as many as it has requests.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// burst is how many requests of one service a pod takes at once. Unset: as many as requestsPerSecond.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	Burst *int32 `json:"burst,omitempty"`
}
