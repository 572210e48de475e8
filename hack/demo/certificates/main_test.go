package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/hack/demo/kube"
)

func made(t *testing.T, dir string) {
	t.Helper()
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestServersAreKnownByTheNamesThatTheyAreReachedAt(t *testing.T) {
	dir := t.TempDir()
	made(t, dir)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(read(t, dir, "ca.crt"))) {
		t.Fatal("ca.crt holds no certificate")
	}
	for file, names := range map[string][]string{
		"database/node": {"database.orderd-eval.svc.cluster.local", "database", nodeIP},
		"nats/tls":      {"nats.orderd-eval.svc"},
		"outside/tls":   {"outside.shop.svc", "localhost"},
		"shop/tls":      {"shop-standard.shop.svc", "shop-flash.shop.svc", "localhost", "127.0.0.1"},
	} {
		pair, err := tls.X509KeyPair([]byte(read(t, dir, file+".crt")), []byte(read(t, dir, file+".key")))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, name := range names {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
				t.Errorf("%s for %s: %v", file, name, err)
			}
		}
	}
}

func TestAnotherRunKeepsWhatIsThereAndMakesWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	made(t, dir)
	ca, nats, manifests := read(t, dir, "ca.crt"), read(t, dir, "nats", "tls.crt"), read(t, dir, "shop.yaml")
	made(t, dir)
	if read(t, dir, "nats", "tls.crt") != nats || read(t, dir, "shop.yaml") != manifests {
		t.Error("a second run made new certificates: everything would be restarted")
	}
	if err := os.RemoveAll(filepath.Join(dir, "shop")); err != nil {
		t.Fatal(err)
	}
	made(t, dir)
	if read(t, dir, "ca.crt") != ca || read(t, dir, "nats", "tls.crt") != nats {
		t.Error("to renew one certificate made others anew")
	}
	if read(t, dir, "shop.yaml") == manifests {
		t.Error("the manifests have the certificate that was removed")
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	made(t, dir)
	if read(t, dir, "ca.crt") == ca || read(t, dir, "nats", "tls.crt") == nats {
		t.Error("an authority without its key was kept, or what it had signed beside a new one")
	}
}

func TestTheManifestsHaveWhatTheSamplesName(t *testing.T) {
	dir := t.TempDir()
	made(t, dir)
	const folder = "../../../config/samples"
	samples, err := kube.ReadObjects(folder)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for line := range strings.Lines(read(t, dir, "shop.yaml") + read(t, folder, "10-secrets.yaml")) {
		if name, ok := strings.CutPrefix(line, "  name: "); ok {
			there[strings.TrimSpace(name)] = true
		}
	}
	cluster, err := kube.ByKind(samples, "OrderCluster")
	if err != nil {
		t.Fatal(err)
	}
	named := references(cluster.Object["spec"])
	if len(named) < 5 {
		t.Fatalf("found only %q", named)
	}
	for _, name := range named {
		if !there[name] {
			t.Errorf("nobody makes %s", name)
		}
	}
}

// references are the names of the Secrets and ConfigMaps that a part of a spec refers to.
func references(part any) []string {
	var names []string
	switch p := part.(type) {
	case []any:
		for _, one := range p {
			names = append(names, references(one)...)
		}
	case map[string]any:
		for key, value := range p {
			inner, ok := value.(map[string]any)
			if name, named := inner["name"].(string); ok && named && strings.HasSuffix(key, "Ref") {
				names = append(names, name)
			}
			names = append(names, references(value)...)
		}
	}
	return names
}
