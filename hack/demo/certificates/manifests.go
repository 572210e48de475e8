package main

import (
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// secret is one that holds files of the folder, by the names of its keys.
type secret struct {
	namespace, name string
	kind            corev1.SecretType
	files           map[string]string
}

func secrets() []secret {
	pair := func(namespace, name, dir string) secret {
		return secret{namespace, name, corev1.SecretTypeTLS, map[string]string{
			corev1.TLSCertKey: dir + "/tls.crt", corev1.TLSPrivateKeyKey: dir + "/tls.key",
		}}
	}
	nats := pair("orderd-eval", "nats-tls", "nats")
	nats.files["ca.crt"] = "ca.crt"
	return []secret{
		nats,
		{"orderd-eval", "database-tls", corev1.SecretTypeOpaque, map[string]string{
			"ca.crt": "ca.crt", "node.crt": "database/node.crt", "node.key": "database/node.key",
		}},
		{"orderd-eval", "database-root", corev1.SecretTypeOpaque, map[string]string{
			"ca.crt": "ca.crt", "client.root.crt": "database/client.root.crt", "client.root.key": "database/client.root.key",
		}},
		{"shop", "database-ca", corev1.SecretTypeOpaque, map[string]string{"ca.crt": "ca.crt"}},
		pair("shop", "messaging-client", "messaging/shop"),
		pair("shop", "outside-tls", "outside"),
		pair("shop", "shop-tls", "shop"),
	}
}

// manifests writes a file a namespace: its Secrets, and for the shop the ConfigMap with whom to believe.
func manifests(dir string) error {
	all := map[string][]byte{}
	add := func(namespace string, object any) error {
		raw, err := yaml.Marshal(object)
		all[namespace] = append(append(all[namespace], "---\n"...), raw...)
		return err
	}
	for _, s := range secrets() {
		object, err := s.read(dir)
		if err == nil {
			err = add(s.namespace, object)
		}
		if err != nil {
			return fmt.Errorf("making Secret %s: %w", s.name, err)
		}
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return err
	}
	if err := add("shop", corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "company-ca"},
		Data:       map[string]string{"ca.crt": string(ca)},
	}); err != nil {
		return err
	}
	for namespace, raw := range all {
		if err := os.WriteFile(filepath.Join(dir, namespace+".yaml"), raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s secret) read(dir string) (corev1.Secret, error) {
	object := corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name},
		Type:       s.kind,
		Data:       map[string][]byte{},
	}
	for key, file := range s.files {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return object, err
		}
		object.Data[key] = raw
	}
	return object, nil
}
