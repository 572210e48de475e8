// Package target says which cluster the demo and the end-to-end tests run on; hack/demo/prepare.sh
// writes it.
package target

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/hack/demo/kube"
)

// Target is a cluster that has the images.
type Target struct {
	// Kubectl and Helm are the programs.
	Kubectl    string `json:"kubectl"`
	Helm       string `json:"helm"`
	Kubeconfig string `json:"kubeconfig"`
	// Eval is the kustomize folder with NATS and the database.
	Eval string `json:"eval"`
	// Chart is a packed chart, and Version what it and the images are of.
	Chart   string `json:"chart"`
	Version string `json:"version"`
	// Samples is a folder.
	Samples string `json:"samples"`
	// Certificates is the folder that hack/demo/certificates has written.
	Certificates string `json:"certificates"`
	// DatabaseURLFile holds the database's URL as pods reach it.
	DatabaseURLFile string `json:"databaseURLFile"`
	// DatabaseHereFile holds its URL as this machine reaches it; no name: it does not.
	DatabaseHereFile string `json:"databaseHereFile,omitempty"`
	// ProviderKeysFile holds the keys of the simulated payment providers; made if it is not there.
	ProviderKeysFile string `json:"providerKeysFile"`
	Images           Images `json:"images"`
}

// Images are references that the cluster can run.
type Images struct {
	Orderd   string `json:"orderd"`
	Operator string `json:"operator"`
	Demo     string `json:"demo"`
}

// Read reads the file.
func Read(path string) (Target, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Target{}, fmt.Errorf("reading the target (hack/demo/prepare.sh makes it): %w", err)
	}
	var t Target
	if err := yaml.UnmarshalStrict(raw, &t); err != nil {
		return Target{}, fmt.Errorf("parsing %s: %w", path, err)
	}
	return t, nil
}

// Kube is a namespace of the target.
func (t Target) Kube(namespace string) kube.Kube {
	return kube.Kube{Kubectl: t.Kubectl, Helm: t.Helm, Kubeconfig: t.Kubeconfig, Namespace: namespace}
}

// DatabaseURL reads the database's URL.
func (t Target) DatabaseURL() (string, error) { return url(t.DatabaseURLFile) }

// DatabaseHere reads the database's URL as this machine reaches it; empty: it does not.
func (t Target) DatabaseHere() (string, error) {
	if t.DatabaseHereFile == "" {
		return "", nil
	}
	return url(t.DatabaseHereFile)
}

func url(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the database's URL: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// Certificate reads one of the files that hack/demo/certificates has written.
func (t Target) Certificate(name ...string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(append([]string{t.Certificates}, name...)...))
	if err != nil {
		return nil, fmt.Errorf("reading what hack/demo/certificates writes: %w", err)
	}
	return raw, nil
}
