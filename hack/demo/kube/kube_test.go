package kube

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/hack/demo/plan"
)

func TestReadObjects(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"10-second.yaml":     "kind: B\nmetadata: {name: b}\n---\n# nothing\n---\nkind: C\nmetadata: {name: c}\n",
		"00-first.yaml":      "# a comment\nkind: A\nmetadata: {name: a}\n",
		"kustomization.yaml": "kind: Kustomization\n",
		"README.md":          "no manifest",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := ReadObjects(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(objects))
	for _, o := range objects {
		names = append(names, o.GetKind()+"/"+o.GetName())
	}
	if got, want := strings.Join(names, " "), "A/a B/b C/c"; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
	if _, err := ByKind(objects, "D"); err == nil {
		t.Error("found a kind that is not there")
	}
}

func TestReadLinesLeavesOutTheRest(t *testing.T) {
	log := `some text
{"progress":{"stage":"rush","requests":3}}
{"result":{"requests":4,"accepted":2}}
`
	var progress, results int
	err := readLines(strings.NewReader(log), func(line plan.Line) {
		switch {
		case line.Progress != nil:
			progress++
		case line.Result != nil && line.Result.Accepted == 2:
			results++
		}
	})
	if err != nil || progress != 1 || results != 1 {
		t.Errorf("%d progress lines and %d results, error %v", progress, results, err)
	}
}

func TestIsNotFound(t *testing.T) {
	missing := &Error{
		Command: "kubectl get x", Output: `Error from server (NotFound): x "y" not found`, Err: errors.New("exit status 1"),
	}
	if !IsNotFound(fmt.Errorf("reading: %w", missing)) {
		t.Error("a missing object is not recognised")
	}
	if IsNotFound(&Error{Output: "connection refused"}) || IsNotFound(nil) {
		t.Error("another error is taken for a missing object")
	}
}
