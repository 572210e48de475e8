//go:build linux

// Package cluster_test runs the scripts of hack/cluster and hack/demo in a folder that looks like a clone: what they
// fetch is served by this process, what they build or load is written down by fakes of go, kind and the others.
package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is for a script that does not end; addresses that do not answer may cost it three seconds.
const patience = time.Minute

// fakeGo is a compiler on linux/amd64: it writes what it is asked for, and notes that and what was there before.
const fakeGo = `#!/bin/bash
set -eu
[ "$1" = build ] || { echo "go version go1.26.0 linux/amd64" && exit; }
shift
packages=()
while [ $# -gt 0 ]; do
  case $1 in
  -o) out=$2 && shift ;;
  -ldflags) shift ;;
  -*) ;;
  *) packages+=("$1") ;;
  esac
  shift
done
echo "go $(basename "$PWD") ${packages[*]##*/}" >>"$CALLS"
for package in "${packages[@]}"; do
  file=$out
  case $out in */) file=$out${package##*/} ;; esac
  [ ! -e "$file" ] || echo "overwritten: $(cat "$file")" >>"$CALLS"
  printf built >"$file"
  chmod +x "$file"
done
`

// modules are those whose releases may be fetched, by folder.
var modules = map[string]string{
	"hack/kube":            "k8s.io/kubernetes",
	"hack/etcd":            "go.etcd.io/etcd/server/v3",
	"hack/helm":            "helm.sh/helm/v4",
	"hack/images":          "github.com/nats-io/nats-server/v2",
	"hack/node/containerd": "github.com/containerd/containerd/v2 github.com/containernetworking/plugins",
	"hack/node/coredns":    "github.com/coredns/coredns",
	"hack/node/pause":      "",
}

type clone struct {
	t     *testing.T
	root  string
	calls string
	path  string
}

// newClone has the scripts, a fake go first on the PATH, and all modules in version v1.2.3.
func newClone(t *testing.T) *clone {
	t.Helper()
	root := t.TempDir()
	c := &clone{t: t, root: root, calls: filepath.Join(root, "calls")}
	c.path = filepath.Join(root, "fakes") + ":" + os.Getenv("PATH")
	scripts, err := filepath.Glob("../../../hack/cluster/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range append(scripts, "../../../hack/demo/prepare.sh") {
		c.copy(strings.TrimPrefix(script, "../../../"))
	}
	c.program("fakes/go", fakeGo)
	for folder := range modules {
		c.require(folder, "v1.2.3")
	}
	return c
}

// require writes a folder's go.mod.
func (c *clone) require(folder, version string) {
	text := "module fake\n\nrequire (\n"
	for module := range strings.FieldsSeq(modules[folder]) {
		text += "\t" + module + " " + version + " // indirect\n"
	}
	c.write(folder+"/go.mod", text+")\n")
}

// copy takes a file of this repository as it is.
func (c *clone) copy(name string) {
	c.t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../..", name))
	if err != nil {
		c.t.Fatal(err)
	}
	c.program(name, string(raw))
}

func (c *clone) write(name, text string)   { c.put(name, text, 0o644) }
func (c *clone) program(name, text string) { c.put(name, text, 0o755) }

func (c *clone) put(name, text string, mode os.FileMode) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		c.t.Fatal(err)
	}
}

// read is empty if there is no such file.
func (c *clone) read(name string) string {
	raw, err := os.ReadFile(filepath.Join(c.root, name))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	return string(raw)
}

// run a command line of the clone with these variables and no others of this process's.
func (c *clone) run(line string, env ...string) (string, error) {
	ctx, stop := context.WithTimeout(c.t.Context(), patience)
	defer stop()
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, filepath.Join(c.root, words[0]), words[1:]...)
	cmd.Env = append([]string{
		"PATH=" + c.path, "HOME=" + c.root, "CALLS=" + c.calls, "ORDERD_RELEASES_PINS=" + c.pins(),
	}, env...)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		c.t.Errorf("%s did not end within %s", line, patience)
	}
	c.t.Logf("%s %v:\n%s", line, env, said)
	return string(said), err
}

func (c *clone) mustRun(line string, env ...string) string {
	c.t.Helper()
	said, err := c.run(line, env...)
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	return said
}

// pins is a file for the test's own.
func (c *clone) pins() string { return filepath.Join(c.root, "pins.tsv") }

// programs are the contents of all files in bin, by name, but for logs and stamps.
func (c *clone) programs() map[string]string {
	c.t.Helper()
	found := map[string]string{}
	bin := filepath.Join(c.root, "bin")
	err := filepath.WalkDir(bin, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, bin+"/")
		switch {
		case name == "logs" || name == "stamps":
			return filepath.SkipDir
		case entry.IsDir() || name == "build.lock":
			return nil
		}
		found[name] = c.read("bin/" + name)
		info, err := entry.Info()
		if err == nil && info.Mode().Perm() != 0o755 {
			c.t.Errorf("%s has mode %s", name, info.Mode())
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return found
}
