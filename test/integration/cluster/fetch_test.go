//go:build linux

package cluster_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// built is what there is if nothing can be fetched.
func built() map[string]string {
	all := map[string]string{}
	for name := range strings.FieldsSeq(`kube/kube-apiserver kube/kubectl kube/kube-controller-manager
		kube/kube-scheduler kube/kubelet kube/kube-proxy kube/etcd node/containerd node/containerd-shim-runc-v2
		node/ctr node/nats-server node/coredns node/cni/ptp node/cni/loopback node/cni/host-local node/cni/portmap
		node/pause tools/helm tools/images`) {
		all[name] = "built"
	}
	return all
}

// mixed serves releases of which four are whole, and pins them.
func mixed(t *testing.T, c *clone, s *releases) {
	t.Helper()
	containerd := archive(t, "bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr", "bin/unwanted")
	coredns, noPortmap := archive(t, "./coredns"), archive(t, "ptp", "loopback", "host-local")
	s.serve("dl.test/kube-apiserver", whole("released kube-apiserver"))
	s.serve("dl.test/kubectl", whole("released kubectl"))
	s.serve("dl.test/kube-controller-manager", whole("somebody else's"))
	s.serve("dl.test/kube-scheduler", half("released kube-scheduler"))
	s.serve("silent.test/kube-proxy", silent)
	s.serve("files.test/containerd.tar.gz", whole(containerd))
	s.serve("files.test/coredns.tgz", whole(coredns))
	s.serve("files.test/cni.tgz", whole(noPortmap))
	s.serve("files.test/helm", whole("released helm"))
	s.serve("files.test/etcd", whole("released etcd"))
	const kube, hub = "k8s.io/kubernetes", "github.com/"
	pins := []pin{
		{"kube-apiserver", kube, "v1.2.3", hash("released kube-apiserver"), "dl.test/kube-apiserver", "-"},
		{"kubectl", kube, "v1.2.3", hash("released kubectl"), "dl.test/kubectl", "-"},
		{"kube-controller-manager", kube, "v1.2.3", hash("released"), "dl.test/kube-controller-manager", "-"},
		{"kube-scheduler", kube, "v1.2.3", hash("released kube-scheduler"), "dl.test/kube-scheduler", "-"},
		{"kubelet", kube, "v1.2.3", hash("released kubelet"), "dl.test/kubelet", "-"},
		{"kube-proxy", kube, "v1.2.3", hash("released kube-proxy"), "silent.test/kube-proxy", "-"},
		{"containerd", hub + "containerd/containerd/v2", "v1.2.3", hash(containerd), "files.test/containerd.tar.gz",
			"bin/containerd bin/containerd-shim-runc-v2 bin/ctr"},
		{"coredns", hub + "coredns/coredns", "v1.2.3", hash(coredns), "files.test/coredns.tgz", "coredns"},
		{"cni-plugins", hub + "containernetworking/plugins", "v1.2.3", hash(noPortmap), "files.test/cni.tgz",
			"ptp loopback host-local portmap"},
		{"helm", "helm.sh/helm/v4", "v1.2.3", "-", "files.test/helm", "-"},
		{"etcd", "go.etcd.io/etcd/server/v3", "v1.2.2", hash("released etcd"), "files.test/etcd", "-"},
	}
	c.write("pins.tsv", lines(pins, "linux/amd64")+lines(pins[:1], "linux/arm64"))
}

// mixture is what then is there.
func mixture() map[string]string {
	all := built()
	all["kube/kube-apiserver"] = "released kube-apiserver"
	all["kube/kubectl"] = "released kubectl"
	all["node/containerd"] = "released bin/containerd"
	all["node/containerd-shim-runc-v2"] = "released bin/containerd-shim-runc-v2"
	all["node/ctr"] = "released bin/ctr"
	all["node/coredns"] = "released ./coredns"
	return all
}

// TestFetch fetches what is whole, and says why it builds the rest.
func TestFetch(t *testing.T) {
	t.Parallel()
	c, s := newClone(t), newReleases(t)
	mixed(t, c, s)
	said := c.mustRun("hack/cluster/build.sh all", s.env())
	if diff := cmp.Diff(mixture(), c.programs()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	for _, line := range []string{
		`kube-controller-manager is built, not fetched: its hash is [0-9a-f]{64}, not the pinned [0-9a-f]{64}`,
		`kube-scheduler is built, not fetched: curl: \(18\) .*`,
		`kubelet is built, not fetched: curl: \(22\) .*404`,
		`cni-plugins is built, not fetched: its archive has no portmap`,
		`not reached within 3 s: silent\.test; what they have is built`,
		`built, because hack/cluster/releases\.tsv has no hash of this version: etcd helm`,
		`fetched kubectl v1\.2\.3`,
		`fetched 4 programs \(.*\), built 10 \(.*\) in [0-9]+s`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(said) {
			t.Errorf("not said: %s", line)
		}
	}
	if strings.Contains(c.read("calls"), "overwritten") {
		t.Error("what was not whole stood in bin")
	}
	// What could not be fetched of one module is built by one command.
	together := `(?m)^go kube( (kube-controller-manager|kube-scheduler|kubelet)){3}$`
	if !regexp.MustCompile(together).MatchString(c.read("calls")) {
		t.Errorf("not built by one command:\n%s", c.read("calls"))
	}
	for _, path := range s.asked() {
		if strings.HasSuffix(path, "/helm") || strings.HasSuffix(path, "/etcd") {
			t.Errorf("without a hash for it: %s", path)
		}
	}
}

// TestFetchOnce does nothing where all is there, and replaces what is of another version.
func TestFetchOnce(t *testing.T) {
	t.Parallel()
	c, s := newClone(t), newReleases(t)
	mixed(t, c, s)
	c.mustRun("hack/cluster/build.sh envtest", s.env())
	asked, calls := s.asked(), c.read("calls")
	if said := c.mustRun("hack/cluster/build.sh envtest", s.env()); said != "" || c.read("calls") != calls {
		t.Errorf("the second run did something: %s", said)
	}
	if diff := cmp.Diff(asked, s.asked()); diff != "" {
		t.Errorf("the second run asked (-first +second):\n%s", diff)
	}
	want := map[string]string{
		"kube/kube-apiserver": "released kube-apiserver", "kube/kubectl": "released kubectl", "kube/etcd": "built",
	}
	if diff := cmp.Diff(want, c.programs()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	c.require("hack/kube", "v1.2.4")
	c.require("hack/etcd", "v1.2.2")
	c.mustRun("hack/cluster/build.sh envtest", s.env())
	want = map[string]string{"kube/kube-apiserver": "built", "kube/kubectl": "built", "kube/etcd": "released etcd"}
	if diff := cmp.Diff(want, c.programs()); diff != "" {
		t.Errorf("after other versions (-want +got):\n%s", diff)
	}
}

// TestBuildOnly goes without releases, and says why.
func TestBuildOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ releases, says string }{
		"turned off":   {"none", "ORDERD_RELEASES=none: nothing is fetched\n"},
		"nobody there": {"http://127.0.0.1:1", "not reached within 3 s: dl.test; what they have is built\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t)
			c.write("pins.tsv", lines([]pin{
				{"kubectl", "k8s.io/kubernetes", "v1.2.3", hash("released kubectl"), "dl.test/kubectl", "-"},
			}, "linux/amd64"))
			said := c.mustRun("hack/cluster/build.sh envtest", "ORDERD_RELEASES="+test.releases)
			if !strings.Contains(said, test.says) || !strings.Contains(said, "\nfetched 0 programs, built 3 (") {
				t.Errorf("it did not say %q, or not how many", test.says)
			}
			want := map[string]string{"kube/kube-apiserver": "built", "kube/kubectl": "built", "kube/etcd": "built"}
			if diff := cmp.Diff(want, c.programs()); diff != "" {
				t.Errorf("programs (-want +got):\n%s", diff)
			}
		})
	}
}

// publish serves what the lines of the test's pinned file name, with its hashes as the projects publish them.
func publish(t *testing.T, c *clone, s *releases) {
	t.Helper()
	hashes := map[string]string{}
	for line := range strings.Lines(c.read("pins.tsv")) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) != 7 || fields[4] != "-" {
			t.Fatalf("nobody published a hash for %q", fields)
		}
		address, body := strings.TrimPrefix(fields[5], "https://"), "released "+fields[0]
		if fields[6] != "-" {
			body = archive(t, strings.Fields(fields[6])...)
		}
		folder, file := path.Split(address)
		hashes[folder] += hash(body) + "  " + file + "\n"
		s.serve(address, whole(body))
		s.serve(address+".sha256sum", whole(hash(body)+"  "+file+"\n"))
		s.serve(address+".sha256", whole(hash(body)+"\n"))
		s.serve(folder+"SHA256SUMS", whole(hash("other")+"  other\n"+hashes[folder]))
	}
}

// TestRenew pins what is published, and fetches by it.
func TestRenew(t *testing.T) {
	t.Parallel()
	c, s := newClone(t), newReleases(t)
	if _, err := c.run("hack/cluster/releases.sh", s.env()); err == nil {
		t.Error("no error, although no hash is published")
	}
	publish(t, c, s)
	said := c.mustRun("hack/cluster/releases.sh", s.env())
	pinned := c.read("pins.tsv")
	if n := strings.Count(said, "\n> "); n != 24 || strings.Contains(pinned, "\t-\thttps:") {
		t.Errorf("%d lines have changed:\n%s", n, pinned)
	}

	said = c.mustRun("hack/cluster/build.sh all", s.env())
	if !strings.Contains(said, "\nfetched 12 programs (") || !strings.Contains(said, ", built 2 (") {
		t.Error("not all was fetched")
	}
	got := c.programs()
	for name, content := range got {
		if strings.HasPrefix(content, "released ") {
			got[name] = "built"
		}
	}
	if diff := cmp.Diff(built(), got); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}

	// Without an answer a hash stays, but not for another version.
	c.require("hack/etcd", "v1.2.4")
	if _, err := c.run("hack/cluster/releases.sh", "ORDERD_RELEASES=http://127.0.0.1:1"); err == nil {
		t.Error("no error, although nobody answers")
	}
	etcd := regexp.MustCompile(`(?m)^etcd\t.*\n`)
	if diff := cmp.Diff(etcd.ReplaceAllString(pinned, ""), etcd.ReplaceAllString(c.read("pins.tsv"), "")); diff != "" {
		t.Errorf("hashes that were known (-before +after):\n%s", diff)
	}
	if n := strings.Count(c.read("pins.tsv"), "\tv1.2.4\t-\thttps:"); n != 2 {
		t.Errorf("%d lines for etcd are without a hash, not 2", n)
	}
}

// TestPinned holds that releases.tsv is as releases.sh writes it for the versions of go.mod.
func TestPinned(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	for folder := range modules {
		c.copy(folder + "/go.mod")
	}
	c.copy("hack/cluster/releases.tsv")
	pinned := c.read("hack/cluster/releases.tsv")
	c.write("pins.tsv", pinned)
	_, _ = c.run("hack/cluster/releases.sh", "ORDERD_RELEASES=http://127.0.0.1:1")
	if diff := cmp.Diff(pinned, c.read("pins.tsv")); diff != "" {
		t.Errorf("run hack/cluster/releases.sh (-releases.tsv +what it should be):\n%s", diff)
	}
}
