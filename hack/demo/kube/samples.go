package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// ReadObjects reads every object of the folder's YAML files, in the order of the files' names.
func ReadObjects(dir string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	slices.Sort(files)
	var objects []*unstructured.Unstructured
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		more, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("parsing %s: %w", file, err)
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

func parse(raw []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4<<10)
	for {
		o := &unstructured.Unstructured{}
		err := documents.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 && o.GetKind() != "Kustomization" {
			objects = append(objects, o)
		}
	}
}

// ByKind returns the first object of the kind.
func ByKind(objects []*unstructured.Unstructured, kind string) (*unstructured.Unstructured, error) {
	for _, o := range objects {
		if o.GetKind() == kind {
			return o, nil
		}
	}
	return nil, fmt.Errorf("there is no %s among the samples", kind)
}

// Manifest writes the object as YAML.
func Manifest(o any) ([]byte, error) {
	raw, err := yaml.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding a manifest: %w", err)
	}
	return append([]byte("---\n"), raw...), nil
}
