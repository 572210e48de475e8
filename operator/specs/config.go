package specs

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

const (
	configDir  = "/etc/orderd"
	configPath = configDir + "/" + configKey
	secretsDir = configDir + "/secrets"

	rpcPort   = 8080
	adminPort = 8081
	peerPort  = 8082
)

// Config renders the file that every pod of the OrderCluster is started with. Secrets are in it only
// by the files they are mounted as.
func Config(c *v1alpha1.OrderCluster) (string, error) {
	cfg := config.Default()
	cfg.Cluster = c.Namespace + "/" + c.Name
	cfg.Database.URLFile = secretsDir + "/database/url"
	if n := c.Spec.Database.MaxConnectionsPerPod; n != nil {
		cfg.Database.MaxConnections = *n
	}
	cfg.Messaging = config.Messaging{URL: c.Spec.Messaging.URL, Replicas: c.MessagingReplicas()}
	if c.Spec.Messaging.CredentialsSecretRef != nil {
		cfg.Messaging.CredentialsFile = secretsDir + "/messaging/creds"
	}
	cfg.HTTP.AllowedOrigins = c.Spec.HTTP.AllowedOrigins
	cfg.HTTP.Reflection = ptr.Deref(c.Spec.HTTP.Reflection, false)
	setDuration(&cfg.Orders.PaymentTimeout, c.Spec.Orders.PaymentTimeout)
	setDuration(&cfg.Orders.QuoteTTL, c.Spec.Orders.QuoteTTL)
	setDuration(&cfg.Orders.CompleteAfter, c.Spec.Orders.CompleteAfter)
	setDuration(&cfg.Orders.ReturnWindow, c.Spec.Orders.ReturnWindow)
	cfg.Orders.IDKeyFile = secretsDir + "/keys/" + OrderIDKey
	cfg.Flash.PeerURL = fmt.Sprintf("http://%s:%d", serviceHost(c, v1alpha1.PoolFlash), peerPort)
	setDuration(&cfg.Flash.MaxClockSkew, c.Spec.Flash.MaxClockSkew)
	if n := c.Spec.Orders.MaterializePerSecond; n != nil {
		// The spec says it for all worker pods together, the file for each.
		pods := c.Pool(v1alpha1.PoolWorker).MinReplicas()
		cfg.Worker.MaterializePerSecond = int((*n + pods - 1) / pods)
	}
	if n := c.Spec.Orders.MaterializeConcurrency; n != nil {
		cfg.Worker.MaterializeConcurrency = int(*n)
	}
	cfg.Payments = payments(c)
	for _, carrier := range c.Spec.Carriers {
		cfg.Carriers = append(cfg.Carriers, config.Carrier{
			Name: carrier.Name, URL: carrier.URL, SecretFile: secretsDir + "/" + carrierVolume(carrier) + "/" + keyFile,
		})
	}
	if n := c.Spec.Notifications; n != nil {
		cfg.Push = config.Push{URL: n.URL, SecretFile: secretsDir + "/" + pushVolume + "/" + keyFile}
	}
	cfg.Auth.Issuer, cfg.Auth.Audience, cfg.Auth.JWKSURL = c.Spec.Auth.Issuer, c.Spec.Auth.Audience, c.Spec.Auth.JWKSURL
	if n := c.Spec.Auth.RequestsPerSecond; n != nil {
		cfg.Auth.RequestsPerSecond = int(*n)
	}
	if n := c.Spec.Auth.Burst; n != nil {
		cfg.Auth.Burst = int(*n)
	}
	if n := c.Spec.Auth.Services.RequestsPerSecond; n != nil {
		cfg.Auth.ServiceRequestsPerSecond = int(*n)
		cfg.Auth.ServiceBurst = int(ptr.Deref(c.Spec.Auth.Services.Burst, *n))
	}
	raw, err := yaml.Marshal(cfg)
	if err != nil {
		return "", fmt.Errorf("rendering the configuration of OrderCluster %s: %w", c.Name, err)
	}
	return string(raw), nil
}

func setDuration(to *config.Duration, from *metav1.Duration) {
	if from != nil {
		*to = config.Duration(from.Duration)
	}
}

func payments(c *v1alpha1.OrderCluster) []config.Payment {
	standard := Endpoint(c, v1alpha1.PoolStandard)
	var out []config.Payment
	for _, p := range c.Spec.Payments {
		public := p.PublicURL
		if public == "" {
			public = standard
		}
		payment := config.Payment{Provider: string(p.Provider), Settings: p.Settings, PublicURL: public, NotifyURL: public}
		if p.Provider == v1alpha1.PaymentProviderSandbox {
			// The sandbox is a part of the standard pool, so it is inside the cluster.
			payment.NotifyURL = standard
			payment.SecretFile = secretsDir + "/" + paymentVolume(p) + "/" + keyFile
		} else {
			payment.SecretDir = secretsDir + "/" + paymentVolume(p)
		}
		out = append(out, payment)
	}
	return out
}

// Revision names what a migration migrates to: it changes with the image, the configuration and the
// version of the database's Secret.
func Revision(c *v1alpha1.OrderCluster, config, databaseSecretVersion string) string {
	return hash(c.Spec.Image, config, databaseSecretVersion)[:10]
}

// ConfigHash of what a pod reads only once, when it starts. The order id key is 32 random bytes:
// nothing can be learnt of it from a hash.
func ConfigHash(config, orderIDKey string, secretVersions []string) string {
	return hash(append([]string{config, orderIDKey}, secretVersions...)...)
}

// ConfigMap of the pools.
func ConfigMap(c *v1alpha1.OrderCluster, config string) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(ConfigName(c.Name), c.Namespace).
		WithLabels(InstanceLabels(c.Name)).
		WithOwnerReferences(owner(c)).
		WithData(map[string]string{configKey: config})
}

// Keys is the Secret with the order id key, as the database has it.
func Keys(c *v1alpha1.OrderCluster, orderIDKey string) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(KeysName(c.Name), c.Namespace).
		WithLabels(InstanceLabels(c.Name)).
		WithOwnerReferences(owner(c)).
		WithData(map[string][]byte{OrderIDKey: []byte(orderIDKey)})
}
