package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNoModuleIsBehind(t *testing.T) {
	behind, err := findBehind("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range behind {
		t.Errorf("%v would share what another module has compiled: go run ./hack/tools/align", n)
	}
}

func TestFindBehind(t *testing.T) {
	root := t.TempDir()
	write(t, root, "go.mod", "module a\nrequire (\n\tx.org/both v1.2.0\n\tx.org/here v1.0.0\n)\n")
	write(t, root, "hack/kube/go.mod", "module b\nrequire x.org/both v1.10.0\n")
	write(t, root, "hack/node/coredns/go.mod", "module c\nrequire x.org/both v1.10.0-rc.1\n")
	write(t, root, "hack/tools/lint/go.mod", "module d\nrequire x.org/both v1.99.0\n")
	got, err := findBehind(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []need{{".", "x.org/both", "v1.10.0"}, {"hack/node/coredns", "x.org/both", "v1.10.0"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(need{})); diff != "" {
		t.Error(diff)
	}
	write(t, root, "hack/kube/go.mod", "module b\nrequire x.org/both\n")
	if _, err := findBehind(root); err == nil {
		t.Error("a go.mod that cannot be read gave no error")
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
