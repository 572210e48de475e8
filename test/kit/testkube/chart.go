package testkube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/orderd-dev/orderd/hack/demo/kube"
)

// Chart is the folder of orderd's chart.
func Chart() string { return filepath.Join(repository(), "charts", "orderd") }

// Helm runs helm as an administrator, in a namespace, and returns what it wrote to standard output.
func (e *Environment) Helm(ctx context.Context, namespace string, args ...string) (string, error) {
	helm := filepath.Join(repository(), "bin", "tools", "helm")
	if _, err := os.Stat(helm); err != nil {
		return "", fmt.Errorf("testkube: %w (make test builds it)", err)
	}
	config := filepath.Join(e.folder, "kubeconfig")
	if err := os.WriteFile(config, e.env.KubeConfig, 0o600); err != nil {
		return "", fmt.Errorf("testkube: writing the administrator's kubeconfig: %w", err)
	}
	return kube.Kube{Helm: helm, Kubeconfig: config, Namespace: namespace}.HelmRun(ctx, args...)
}

// ServiceAccount returns a way to reach the API server as a pod with this ServiceAccount does, as a configuration and
// as a kubeconfig file's content.
func (e *Environment) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, []byte, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{}
	if err := e.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, nil, fmt.Errorf("testkube: requesting a token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(e.Config)
	config.BearerToken, config.QPS = request.Status.Token, -1
	kubeconfig, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			name: {Server: config.Host, CertificateAuthorityData: config.CAData},
		},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("testkube: writing the kubeconfig of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return config, kubeconfig, nil
}
