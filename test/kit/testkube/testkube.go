// Package testkube starts a real API server with etcd for a test process, with orderd's CRDs in it.
// There is no controller manager: nothing collects garbage, and Deployments and Jobs make no pods.
package testkube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// startTimeout bounds the start of the API server and etcd: 4 to 6 s on an idle machine of two cores.
const startTimeout = 90 * time.Second

// Environment is a running API server.
type Environment struct {
	// Config reaches it as an administrator.
	Config *rest.Config
	// Client knows orderd's and Kubernetes' own types, and reads nothing from a cache.
	Client client.Client
	// Scheme has the types the client knows.
	Scheme *kruntime.Scheme

	env *envtest.Environment
	// folder has the administrator's kubeconfig file.
	folder string
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
	// Nothing removes the Services of a test, and a /24 is full after 250.
	env.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/16")
	config, err := env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testkube: starting the API server: %w", err), env.Stop())
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testkube: making a client: %w", err), env.Stop())
	}
	folder, err := os.MkdirTemp("", "testkube-")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testkube: making a folder: %w", err), env.Stop())
	}
	return &Environment{Config: config, Client: c, Scheme: scheme, env: env, folder: folder}, nil
}

// Operator returns a way to reach the API server with no other rights than those that the operator
// has in production, as a configuration and as a kubeconfig file's content.
func (e *Environment) Operator(ctx context.Context) (*rest.Config, []byte, error) {
	raw, err := os.ReadFile(filepath.Join(repository(), "config", "rbac", "role.yaml"))
	if err != nil {
		return nil, nil, fmt.Errorf("testkube: reading the operator's role: %w", err)
	}
	role := &rbacv1.ClusterRole{}
	// The file's first document is the ClusterRole, the second the Role for leader election.
	if err := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), len(raw)).Decode(role); err != nil {
		return nil, nil, fmt.Errorf("testkube: parsing the operator's role: %w", err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role.Name}},
	}
	if err := errors.Join(e.Client.Create(ctx, role), e.Client.Create(ctx, binding)); err != nil {
		return nil, nil, fmt.Errorf("testkube: granting the operator's role: %w", err)
	}
	user, err := e.env.AddUser(envtest.User{Name: role.Name}, &rest.Config{QPS: -1})
	if err != nil {
		return nil, nil, fmt.Errorf("testkube: adding user %s: %w", role.Name, err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("testkube: writing the kubeconfig of user %s: %w", role.Name, err)
	}
	return user.Config(), kubeconfig, nil
}

// Stop ends the API server and etcd.
func (e *Environment) Stop() error { return errors.Join(e.env.Stop(), os.RemoveAll(e.folder)) }

// repository is the folder of go.mod, found from this file's own place.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(file))))
}
