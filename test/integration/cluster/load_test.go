//go:build linux

package cluster_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeProgram notes how it is called, and knows two clusters of kind and one of minikube.
const fakeProgram = `#!/bin/sh
program=$(basename "$0")
echo "$program $*" >>"$CALLS"
case "$program $*" in
"kind get clusters") printf 'dev\nother\n' ;;
"kubectl config current-context") echo "$CONTEXT" ;;
"minikube -p dev status") ;;
minikube*status) exit 85 ;;
esac
`

// fakeImages stands for hack/images/build.sh.
const fakeImages = `#!/bin/sh
echo "images $*${REGISTRY:+ pushed to $REGISTRY}" >>"$CALLS"
mkdir -p bin/images
cat >bin/images/tags.env <<END
ORDERD_IMAGE=orderd:1
ORDERD_OPERATOR_IMAGE=orderd-operator:2
ORDERD_DEMO_IMAGE=orderd-demo:3
ORDERD_VERSION=0.1.0
END
`

// prepared are the commands that prepare a cluster which is as it should be.
func prepared(first string, load ...string) []string {
	return slices.Concat([]string{
		first, "build.sh tools", "kubectl config current-context", "images orderd orderd-operator orderd-demo",
	}, load, []string{
		"certificates.sh ",
		"helm package charts/orderd --version 0.1.0 --app-version 0.1.0 --destination bin/demo/chart",
	})
}

// loads are ways to call the script: what it does, and why it does not do more.
var loads = map[string]struct {
	env        []string
	path       string
	calls      []string
	kubeconfig string
	fails      string
}{
	"kind": {
		env:        []string{"KIND=dev", "CONTEXT=kind-dev", "KUBECONFIG=/mine/config", "REGISTRY=registry.test"},
		kubeconfig: "/mine/config",
		calls: prepared("kind get clusters",
			"kind load image-archive bin/images/orderd_1.tar --name dev",
			"kind load image-archive bin/images/orderd-operator_2.tar --name dev",
			"kind load image-archive bin/images/orderd-demo_3.tar --name dev"),
	},
	"minikube": {
		env:        []string{"MINIKUBE=dev", "CONTEXT=dev", "HOME=/home/me"},
		kubeconfig: "/home/me/.kube/config",
		calls: prepared("minikube -p dev status",
			"minikube -p dev image load bin/images/orderd_1.tar",
			"minikube -p dev image load bin/images/orderd-operator_2.tar",
			"minikube -p dev image load bin/images/orderd-demo_3.tar"),
	},
	"no kind": {
		env: []string{"KIND=dev"}, path: "/usr/bin:/bin",
		fails: "error: KIND=dev: there is no kind on the PATH (https://kind.sigs.k8s.io)\n",
	},
	"no minikube": {
		env: []string{"MINIKUBE=dev"}, path: "/usr/bin:/bin",
		fails: "error: MINIKUBE=dev: there is no minikube on the PATH (https://minikube.sigs.k8s.io)\n",
	},
	"no such cluster of kind": {
		env: []string{"KIND=de"}, calls: []string{"kind get clusters"},
		fails: "error: KIND=de: kind has no such cluster, only: dev, other\n",
	},
	"no such profile of minikube": {
		env: []string{"MINIKUBE=gone"}, calls: []string{"minikube -p gone status"},
		fails: "error: MINIKUBE=gone: no cluster of this profile runs (minikube profile list)\n",
	},
	"another context": {
		env:   []string{"KIND=dev", "CONTEXT=production", "KUBECONFIG=/mine/config"},
		calls: []string{"kind get clusters", "build.sh tools", "kubectl config current-context"},
		fails: "error: the context of /mine/config is 'production', not kind-dev: kubectl config use-context kind-dev\n",
	},
	"both": {env: []string{"KIND=dev", "MINIKUBE=dev"}, fails: "error: set KIND or MINIKUBE, not both\n"},
}

// TestLoad prepares clusters of kind and minikube, which load the images from archives.
func TestLoad(t *testing.T) {
	t.Parallel()
	for name, test := range loads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t)
			for _, program := range []string{
				"fakes/kind", "fakes/minikube", "bin/kube/kubectl", "bin/tools/helm", "hack/cluster/build.sh",
				"hack/demo/certificates.sh",
			} {
				c.program(program, fakeProgram)
			}
			c.program("hack/images/build.sh", fakeImages)
			c.copy("config/samples/10-secrets.yaml")
			if test.path != "" {
				c.path = test.path
			}
			said, err := c.run("hack/demo/prepare.sh", test.env...)
			if (err != nil) != (test.fails != "") || !strings.HasSuffix(said, test.fails) {
				t.Errorf("want %q and an error, got %v", test.fails, err)
			}
			calls := strings.Join(append(test.calls, ""), "\n")
			if diff := cmp.Diff(calls, c.read("calls")); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			target := c.read("bin/demo/target.yaml")
			if test.kubeconfig != "" && !strings.Contains(target, "\nkubeconfig: "+test.kubeconfig+"\n") {
				t.Errorf("the target's kubeconfig is not %s:\n%s", test.kubeconfig, target)
			}
		})
	}
}
