package specs

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

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

// Settings are what the OrderCluster's pods are configured with, all roles together. Secrets are in
// them only by the files they are mounted as.
func Settings(c *v1alpha1.OrderCluster) config.Config {
	cfg := config.Default()
	cfg.Cluster = c.Namespace + "/" + c.Name
	cfg.Database.URLFile = secretsDir + "/database/url"
	cfg.Database.CAFile, cfg.Database.CertificateFile, cfg.Database.KeyFile = tlsFiles(databaseName,
		c.Spec.Database.CASecretRef, c.Spec.Database.ClientCertificateSecretRef)
	if n := c.Spec.Database.MaxConnectionsPerPod; n != nil {
		cfg.Database.MaxConnections = *n
	}
	cfg.Messaging = config.Messaging{URL: c.Spec.Messaging.URL, Replicas: c.MessagingReplicas()}
	// Each pool's are mounted there.
	if c.MessagingCredentials(v1alpha1.PoolStandard) != nil {
		cfg.Messaging.CredentialsFile = secretsDir + "/messaging/creds"
	}
	cfg.Messaging.CAFile, cfg.Messaging.CertificateFile, cfg.Messaging.KeyFile = tlsFiles(messagingName,
		c.Spec.Messaging.CASecretRef, c.Spec.Messaging.ClientCertificateSecretRef)
	if c.Spec.TLS != nil {
		cfg.HTTP.CertificateFile, cfg.HTTP.KeyFile = tlsDir+"/"+corev1.TLSCertKey, tlsDir+"/"+corev1.TLSPrivateKeyKey
	}
	cfg.HTTP.AllowedOrigins = c.Spec.HTTP.AllowedOrigins
	cfg.HTTP.Reflection = ptr.Deref(c.Spec.HTTP.Reflection, false)
	setDuration(&cfg.HTTP.MaxConnectionAge, c.Spec.HTTP.MaxConnectionAge)
	setDuration(&cfg.HTTP.ConnectionGrace, c.Spec.HTTP.ConnectionGrace)
	setDuration(&cfg.HTTP.DrainDelay, c.Spec.HTTP.DrainDelay)
	setDuration(&cfg.HTTP.DrainTimeout, c.Spec.HTTP.DrainTimeout)
	setDuration(&cfg.Orders.PaymentTimeout, c.Spec.Orders.PaymentTimeout)
	setDuration(&cfg.Orders.QuoteTTL, c.Spec.Orders.QuoteTTL)
	setDuration(&cfg.Orders.CompleteAfter, c.Spec.Orders.CompleteAfter)
	setDuration(&cfg.Orders.ReturnWindow, c.Spec.Orders.ReturnWindow)
	setLimits(&cfg.Orders.Limits, c.Spec.Orders.Limits)
	cfg.Orders.IDKeyFile = secretsDir + "/keys/" + OrderIDKey
	cfg.Flash.PeerURL = fmt.Sprintf("http://%s:%d", serviceHost(c, v1alpha1.PoolFlash), peerPort)
	setDuration(&cfg.Flash.MaxClockSkew, c.Spec.Flash.MaxClockSkew)
	if n := c.Spec.Orders.MaterializePerSecond; n != nil {
		// For all workers together, who divide it themselves: how many there are replaces none of them.
		cfg.Worker.MaterializePerSecond = int(*n)
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
	return cfg
}

func setLimits(to *config.Limits, from v1alpha1.OrderLimitsSpec) {
	for field, set := range map[*int64]*int32{
		&to.UnpaidOrders: from.UnpaidOrders, &to.ReservedUnits: from.ReservedUnits,
		&to.GuestUnpaidOrders: from.GuestUnpaidOrders, &to.GuestReservedUnits: from.GuestReservedUnits,
	} {
		if set != nil {
			*field = int64(*set)
		}
	}
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

// Revision names what a migration migrates to: it changes with the image and the database.
func Revision(c *v1alpha1.OrderCluster, database string) string {
	return hash(c.Spec.Image, database)[:10]
}

// Keys is the Secret with the order id key, as the database has it.
func Keys(c *v1alpha1.OrderCluster, orderIDKey string) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(KeysName(c.Name), c.Namespace).
		WithLabels(InstanceLabels(c.Name)).
		WithOwnerReferences(owner(c)).
		WithData(map[string][]byte{OrderIDKey: []byte(orderIDKey)})
}
