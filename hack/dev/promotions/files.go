package promotions

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	kubejson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// document is one of a file's that is a PromotionEvent.
type document struct {
	// source is the file, and which of its documents it is.
	source string
	// raw is the document as it stands there.
	raw string
	// manifest is nil, and err says why, if it cannot be read.
	manifest map[string]any
	err      error
}

// name of the PromotionEvent; empty if it has none.
func (d document) name() string { return nameOf(d.manifest) }

// nameOf is a manifest's metadata.name; empty if it has none.
func nameOf(manifest map[string]any) string {
	meta, _ := manifest["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}

// readFiles returns the PromotionEvents of files and of the YAML and JSON files in folders, in their
// order. What else stands in them is left out.
func readFiles(paths []string) ([]document, error) {
	var all []document
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			all = append(all, documentsOf(file, raw)...)
		}
	}
	return all, nil
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	return files, nil
}

func documentsOf(file string, raw []byte) []document {
	var all []document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for n := 1; ; n++ {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		d := document{source: fmt.Sprintf("%s, document %d", file, n), raw: string(text), err: err}
		if err == nil {
			d.manifest, d.err = parse(text)
		}
		all = append(all, d.promotions()...)
		if err != nil {
			return all
		}
	}
}

// promotions of a document are itself, or those of a List, as `kubectl get -o yaml` writes it. What
// cannot be read is told as one of them.
func (d document) promotions() []document {
	if d.err == nil && (d.manifest["kind"] == "List" || d.manifest["kind"] == kind+"List") {
		items, ok := d.manifest["items"].([]any)
		if !ok {
			return nil
		}
		var all []document
		for n, item := range items {
			one := document{source: fmt.Sprintf("%s, items[%d]", d.source, n)}
			if one.manifest, ok = item.(map[string]any); !ok {
				one.err = errors.New("an item of a List is not an object")
			} else if one.err = check(one.manifest); one.err == nil {
				var raw []byte
				raw, one.err = kubejson.Marshal(one.manifest)
				one.raw = string(raw)
			}
			all = append(all, one.promotions()...)
		}
		return all
	}
	if d.err == nil && d.manifest["kind"] != kind {
		return nil
	}
	return []document{d}
}

// parse a document. An empty one has no fields.
func parse(text []byte) (map[string]any, error) {
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	manifest := map[string]any{}
	if string(raw) == "null" {
		return manifest, nil
	}
	if err := kubejson.Unmarshal(raw, &manifest); err != nil {
		return nil, err
	}
	if err := check(manifest); err != nil {
		return nil, err
	}
	return manifest, nil
}

// check refuses what orderd's group has no kind for.
func check(manifest map[string]any) error {
	version, _ := manifest["apiVersion"].(string)
	ours := strings.HasPrefix(version, v1alpha1.GroupVersion.Group+"/")
	known := slices.Contains([]any{kind, kind + "List", "OrderCluster", "OrderClusterList"}, manifest["kind"])
	if ours && !known || manifest["kind"] == kind && version != v1alpha1.GroupVersion.String() {
		return fmt.Errorf("no matches for kind %q in version %q (a sale is a %s of %s)",
			manifest["kind"], version, kind, v1alpha1.GroupVersion)
	}
	return nil
}
