package platform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

const (
	// pspURL is where the pod outside simulates the payment providers.
	pspURL = "https://outside.shop.svc:8091"
	// pspSecret has the simulator's keys, in this file.
	pspSecret, pspFile = "psp", "keys.json"
)

// providers makes every payment provider but the sandbox a simulated one: it returns the Secrets of
// both sides and the OrderCluster's entries. The keys are made once and kept in a file, so that a
// second run changes nothing.
func providers(namespace, keysFile string) ([]*corev1.Secret, []v1alpha1.PaymentSpec, error) {
	keys, err := psp.LoadKeys(keysFile)
	if errors.Is(err, os.ErrNotExist) {
		if keys, err = psp.GenerateKeys(); err == nil {
			err = keys.Save(keysFile)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	raw, err := os.ReadFile(keysFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the providers' keys: %w", err)
	}
	dir, err := os.MkdirTemp("", "orderd-demo-")
	if err != nil {
		return nil, nil, fmt.Errorf("writing the providers' keys: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := keys.WriteSecrets(dir); err != nil {
		return nil, nil, err
	}
	secrets := []*corev1.Secret{secret(namespace, pspSecret, map[string][]byte{pspFile: raw})}
	var payments []v1alpha1.PaymentSpec
	for _, provider := range []string{psp.WeChatPay, psp.Alipay, psp.Stripe} {
		data, err := files(filepath.Join(dir, provider))
		if err != nil {
			return nil, nil, err
		}
		name := "payments-" + provider
		secrets = append(secrets, secret(namespace, name, data))
		payments = append(payments, v1alpha1.PaymentSpec{
			Provider: v1alpha1.PaymentProvider(provider), KeysSecretRef: &v1alpha1.SecretReference{Name: name},
			Settings: keys.Settings(provider, pspURL, false),
		})
	}
	return secrets, payments, nil
}

func secret(namespace, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Data:       data,
	}
}

func files(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading a provider's keys: %w", err)
	}
	out := map[string][]byte{}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading a provider's keys: %w", err)
		}
		out[e.Name()] = raw
	}
	return out, nil
}
