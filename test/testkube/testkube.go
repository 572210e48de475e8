// Package testkube starts a real API server with etcd for a test process, with orderd's CRDs in it.
// There is no controller manager: nothing collects garbage, and Deployments and Jobs make no pods.
package testkube

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	kruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// startTimeout bounds the start of the API server and etcd: 4 to 6 s on an idle machine of two cores.
const startTimeout = 90 * time.Second

// Environment is a running API server.
type Environment struct {
	// Config reaches it as an administrator.
	Config *rest.Config
	// Kubeconfig is the same as a file's content, for child processes.
	Kubeconfig []byte
	// Client knows orderd's and Kubernetes' own types, and reads nothing from a cache.
	Client client.Client
	// Scheme has the types the client knows.
	Scheme *kruntime.Scheme

	env *envtest.Environment
}

// Start runs an API server and etcd from the folder that KUBEBUILDER_ASSETS names, or else from the
// repository's bin/kube, and installs orderd's CRDs. The caller stops it.
func Start() (*Environment, error) {
	root := repository()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "kube")
	}
	for _, binary := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(assets, binary)); err != nil {
			return nil, fmt.Errorf("testkube: %w (make test builds it, or set KUBEBUILDER_ASSETS)", err)
		}
	}
	scheme := kruntime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("testkube: registering types: %w", err)
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	config, err := env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testkube: starting the API server: %w", err), env.Stop())
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testkube: making a client: %w", err), env.Stop())
	}
	return &Environment{Config: config, Kubeconfig: env.KubeConfig, Client: c, Scheme: scheme, env: env}, nil
}

// Stop ends the API server and etcd.
func (e *Environment) Stop() error { return e.env.Stop() }

// repository is the folder of go.mod, found from this file's own place.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
