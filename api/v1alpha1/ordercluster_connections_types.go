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

// ConfigMapKeyReference names one key of a ConfigMap in the same namespace.
type ConfigMapKeyReference struct {
	// name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// key in the ConfigMap's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// TrustSpec is where the certificates (PEM) are of authorities that are believed besides the public ones.
//
// +kubebuilder:validation:XValidation:rule="has(self.configMapRef) != has(self.secretRef)",message="one of configMapRef and secretRef must be set"
type TrustSpec struct {
	// configMapRef names the ConfigMap's key that holds them, as trust-manager writes it. A change restarts the pods,
	// within half a minute.
	// +optional
	ConfigMapRef *ConfigMapKeyReference `json:"configMapRef,omitempty"`

	// secretRef names the Secret's key that holds them. A change restarts the pods.
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`
}

// TLSSpec is what pods show to those who call the RPCs for apps.
type TLSSpec struct {
	// secretRef names the Secret with tls.crt and tls.key, as cert-manager writes them, for the names that apps reach the
	// standard and flash pools at. Pods show a renewed certificate from the next connection on, without a restart.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`
}

// DatabaseSpec is where the database is.
type DatabaseSpec struct {
	// urlSecretRef names the Secret's key that holds a postgres:// URL. A change of the Secret restarts the pods.
	// +required
	URLSecretRef SecretKeyReference `json:"urlSecretRef,omitzero"`

	// caSecretRef names the Secret's key that holds the certificates (PEM) of who may have signed the server's: a
	// database's own authority, such as CockroachDB's. Unset: the public authorities and those of spec.trust. A change
	// restarts the pods that read it.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`

	// clientCertificateSecretRef names the Secret that holds what the server is shown if it asks who connects: tls.crt and
	// tls.key, as cert-manager writes them. Pods take a renewed one without a restart.
	// +optional
	ClientCertificateSecretRef *SecretReference `json:"clientCertificateSecretRef,omitempty"`

	// insecure allows a URL whose sslmode is not verify-full: whoever is on the way can then read and change what is sent.
	// +optional
	Insecure *bool `json:"insecure,omitempty"`

	// maxConnectionsPerPod is the most connections a standard or worker pod opens. The flash pool opens none.
	// +optional
	// +default=16
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1000
	MaxConnectionsPerPod *int32 `json:"maxConnectionsPerPod,omitempty"`
}

// MessagingSpec is where NATS is.
//
// +kubebuilder:validation:XValidation:rule="!has(self.credentialsSecretRef) || !has(self.roleCredentialsSecretRef)",fieldPath=".roleCredentialsSecretRef",message="credentialsSecretRef and roleCredentialsSecretRef must not both be set"
// +kubebuilder:validation:XValidation:rule="(has(self.insecure) && self.insecure) || !self.url.contains('nats://')",fieldPath=".url",message="url must be tls://: over nats:// whoever is on the way reads and changes what is sent (insecure: true allows it)"
type MessagingSpec struct {
	// url of the NATS system: nats:// or tls://, or several joined by commas.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^(nats|tls)://[^@/ ,]+(,(nats|tls)://[^@/ ,]+)*$')",message="url must be nats://host:port or tls://host:port, or several joined by commas, without user or password (use credentialsSecretRef)"
	URL string `json:"url,omitempty"`

	// credentialsSecretRef names the Secret's key that holds a NATS .creds file, or the seed of a user's nkey (SU…), for
	// all pods and the operator. Each OrderCluster needs a NATS account of its own.
	// +optional
	CredentialsSecretRef *SecretKeyReference `json:"credentialsSecretRef,omitempty"`

	// roleCredentialsSecretRef names the Secret that holds the same for each role, in place of credentialsSecretRef: its
	// keys are flash.creds, worker.creds, standard.creds and operator.creds. Each pool's pods mount their own alone, and
	// start again when it changes. config/nats has what each role may be permitted to do.
	// +optional
	RoleCredentialsSecretRef *SecretReference `json:"roleCredentialsSecretRef,omitempty"`

	// caSecretRef names the Secret's key that holds the certificates (PEM) of who may have signed the servers'.
	// Unset: the public authorities and those of spec.trust. A change restarts the pods.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`

	// clientCertificateSecretRef names the Secret that holds what the server is shown if it asks who connects: tls.crt and
	// tls.key, as cert-manager writes them. Pods take a renewed one without a restart.
	// +optional
	ClientCertificateSecretRef *SecretReference `json:"clientCertificateSecretRef,omitempty"`

	// insecure allows nats:// URLs: whoever is on the way can then read and change what is sent.
	// +optional
	Insecure *bool `json:"insecure,omitempty"`

	// replicas of every stream and bucket in JetStream. With 1 the orders of a sale that are not in the database yet are
	// lost with the disk of one server; the condition Secure says so.
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
//
// +kubebuilder:validation:XValidation:rule="(has(self.insecure) && self.insecure) || self.url.startsWith('https://')",fieldPath=".url",message="url must be https:// (insecure: true allows http://)"
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

	// insecure allows an http:// URL: whoever is on the way can then read and change what is sent.
	// +optional
	Insecure *bool `json:"insecure,omitempty"`
}

// NotificationsSpec is the app's push gateway.
//
// +kubebuilder:validation:XValidation:rule="(has(self.insecure) && self.insecure) || self.url.startsWith('https://')",fieldPath=".url",message="url must be https:// (insecure: true allows http://)"
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

	// insecure allows an http:// URL: whoever is on the way can then read and change what is sent.
	// +optional
	Insecure *bool `json:"insecure,omitempty"`
}

// AuthSpec is the issuer of callers' tokens: JSON Web Tokens with the claims sub and roles.
//
// +kubebuilder:validation:XValidation:rule="(has(self.insecure) && self.insecure) || self.jwksURL.startsWith('https://')",fieldPath=".jwksURL",message="jwksURL must be https://: over http:// whoever is on the way can be everybody (insecure: true allows it)"
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

	// insecure allows an http:// jwksURL: whoever is on the way can then sign tokens of anybody.
	// +optional
	Insecure *bool `json:"insecure,omitempty"`

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
