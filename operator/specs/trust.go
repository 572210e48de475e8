package specs

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// databaseName and messagingName name what a pod mounts for them.
	databaseName  = "database"
	messagingName = "messaging"

	caFile = "ca.crt"

	trustDir = configDir + "/trust"
	// tlsName names what pods show, and tlsDir is where they have it.
	tlsName = "tls"
	tlsDir  = secretsDir + "/" + tlsName
	// publicDir is where the image has the public authorities.
	publicDir = "/etc/ssl/certs"
)

// tlsFiles are where a pod has the certificates for a server's connections; "" for none.
func tlsFiles(server string, ca *v1alpha1.SecretKeyReference, certificate *v1alpha1.SecretReference) (
	authorities, cert, key string,
) {
	if ca != nil {
		authorities = secretsDir + "/" + server + "-ca/" + caFile
	}
	if certificate != nil {
		dir := secretsDir + "/" + server + "-client/"
		cert, key = dir+corev1.TLSCertKey, dir+corev1.TLSPrivateKeyKey
	}
	return authorities, cert, key
}

// tlsMounts are what tlsFiles names.
func tlsMounts(server string, ca *v1alpha1.SecretKeyReference, certificate *v1alpha1.SecretReference) []mount {
	var m []mount
	if ca != nil {
		m = append(m, secretMount(server+"-ca", caFile, *ca))
	}
	if certificate != nil {
		m = append(m, secretDirMount(server+"-client", *certificate))
	}
	return m
}

// databaseMounts are for whoever connects to the database.
func databaseMounts(c *v1alpha1.OrderCluster) []mount {
	d := c.Spec.Database
	return append([]mount{secretMount(databaseName, "url", d.URLSecretRef)},
		tlsMounts(databaseName, d.CASecretRef, d.ClientCertificateSecretRef)...)
}

// messagingMounts are for a pool's pods, which have their own credentials alone.
func messagingMounts(c *v1alpha1.OrderCluster, pool string) []mount {
	m := tlsMounts(messagingName, c.Spec.Messaging.CASecretRef, c.Spec.Messaging.ClientCertificateSecretRef)
	if ref := c.MessagingCredentials(pool); ref != nil {
		m = append(m, secretMount(messagingName, "creds", *ref))
	}
	return m
}

// trustMounts has the certificates of spec.trust.
func trustMounts(c *v1alpha1.OrderCluster) []mount {
	if c.Spec.Trust == nil {
		return nil
	}
	volume := corev1ac.Volume().WithName("trust")
	if ref := c.Spec.Trust.ConfigMapRef; ref != nil {
		volume = volume.WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(ref.Name).
			WithItems(corev1ac.KeyToPath().WithKey(ref.Key).WithPath(caFile)))
	} else {
		ref := c.Spec.Trust.SecretRef
		volume = volume.WithSecret(corev1ac.SecretVolumeSource().WithSecretName(ref.Name).WithDefaultMode(secretMode).
			WithItems(corev1ac.KeyToPath().WithKey(ref.Key).WithPath(caFile)))
	}
	path := corev1ac.VolumeMount().WithName("trust").WithMountPath(trustDir).WithReadOnly(true)
	return []mount{{volume: volume, path: path}}
}

// trustEnv makes Go believe the certificates of spec.trust besides the public ones, whatever connects.
func trustEnv(c *v1alpha1.OrderCluster) []*corev1ac.EnvVarApplyConfiguration {
	if c.Spec.Trust == nil {
		return nil
	}
	return []*corev1ac.EnvVarApplyConfiguration{
		corev1ac.EnvVar().WithName("SSL_CERT_DIR").WithValue(publicDir + ":" + trustDir),
	}
}
