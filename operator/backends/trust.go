package backends

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/certs"
)

// secured is what the connections to one server are secured with.
type secured struct {
	// authorities are who may have signed the server's certificate; nil: the public ones.
	authorities *x509.CertPool
	// certificate is what the server is shown; nil: none.
	certificate *tls.Certificate
	// sum tells what was read from what is read the next time.
	sum [sha256.Size]byte
}

// client is the certificate that a server asked for.
func (s secured) client() func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if s.certificate == nil {
		return nil
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate, nil }
}

// config of a TLS client.
func (s secured) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.authorities, GetClientCertificate: s.client()}
}

// secured reads what database and messaging are connected to with. The ca of one server goes before
// spec.trust, which adds to the public authorities. Errors are *Error, or of the Kubernetes API.
func (r *Registry) secured(ctx context.Context, c *v1alpha1.OrderCluster, ca *v1alpha1.SecretKeyReference,
	certificate *v1alpha1.SecretReference) (secured, error) {
	var s secured
	read := sha256.New()
	var err error
	switch {
	case ca != nil:
		var pem string
		if pem, err = r.secret(ctx, c.Namespace, *ca); err != nil {
			return s, err
		}
		fmt.Fprintf(read, "ca %q", pem)
		s.authorities, err = certs.Authorities([]byte(pem))
		if err != nil {
			return s, invalidCertificate("Secret %s: the value of key %s %v", ca.Name, ca.Key, err)
		}
	case c.Spec.Trust != nil:
		var pem string
		if pem, err = r.trust(ctx, c); err != nil {
			return s, err
		}
		fmt.Fprintf(read, "trust %q", pem)
		if s.authorities, err = publicAnd(pem); err != nil {
			return s, invalidCertificate("spec.trust %v", err)
		}
	}
	if certificate != nil {
		pair := map[string]string{}
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			ref := v1alpha1.SecretKeyReference{Name: certificate.Name, Key: key}
			if pair[key], err = r.secret(ctx, c.Namespace, ref); err != nil {
				return s, err
			}
		}
		fmt.Fprintf(read, "pair %q", pair)
		loaded, err := tls.X509KeyPair([]byte(pair[corev1.TLSCertKey]), []byte(pair[corev1.TLSPrivateKeyKey]))
		if err != nil {
			// The error names what is wrong with the PEM and holds nothing of the key.
			return s, invalidCertificate("Secret %s: tls.crt and tls.key: %v", certificate.Name, err)
		}
		s.certificate = &loaded
	}
	s.sum = [sha256.Size]byte(read.Sum(nil))
	return s, nil
}

func invalidCertificate(format string, args ...any) *Error {
	return &Error{Reason: v1alpha1.ReasonInvalidCertificate, Message: fmt.Sprintf(format, args...)}
}

// publicAnd are the public authorities and those in pem.
func publicAnd(pem string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the public authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, certs.ErrNoCertificate
	}
	return pool, nil
}

// trust reads spec.trust, which must be set.
func (r *Registry) trust(ctx context.Context, c *v1alpha1.OrderCluster) (string, error) {
	ref := c.Spec.Trust.ConfigMapRef
	if ref == nil {
		return r.secret(ctx, c.Namespace, *c.Spec.Trust.SecretRef)
	}
	data, err := r.object(ctx, c.Namespace, ref.Name, &corev1.ConfigMap{})
	if apierrors.IsNotFound(err) {
		return "", &Error{
			Reason: v1alpha1.ReasonConfigMapNotFound, Message: fmt.Sprintf("ConfigMap %s does not exist", ref.Name),
		}
	}
	if err != nil {
		return "", err
	}
	value := trim([]byte(data[ref.Key]))
	if value == "" {
		return "", &Error{
			Reason:  v1alpha1.ReasonConfigMapKeyMissing,
			Message: fmt.Sprintf("ConfigMap %s has no key %s, or it is empty", ref.Name, ref.Key),
		}
	}
	return value, nil
}
