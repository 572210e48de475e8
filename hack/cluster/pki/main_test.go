package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

const server = "https://10.88.0.1:6443"

func read(t *testing.T, dir, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCertificatesHoldForTheAddressesAndNamesOfTheServer(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir, server, "node-1", []string{"10.88.0.1", "10.96.0.1"}); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, dir, "ca.crt")) {
		t.Fatal("ca.crt holds no certificate")
	}
	tests := map[string][]string{
		"apiserver":      {"10.88.0.1", "10.96.0.1", "kubernetes.default.svc"},
		"kubelet-server": {"10.88.0.1", "node-1"},
	}
	for file, names := range tests {
		pair, err := tls.X509KeyPair(read(t, dir, file+".crt"), read(t, dir, file+".key"))
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

func TestAnotherRunKeepsWhatIsThereAndCompletesWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	generate := func() string {
		t.Helper()
		if err := run(dir, server, "node-1", []string{"10.88.0.1"}); err != nil {
			t.Fatal(err)
		}
		return string(read(t, dir, "ca.crt"))
	}
	first := generate()
	if generate() != first {
		t.Error("a second run made a new authority, which running programs would not trust")
	}
	if err := os.Remove(filepath.Join(dir, "kubelet.kubeconfig")); err != nil {
		t.Fatal(err)
	}
	generate()
	read(t, dir, "kubelet.kubeconfig")
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	if err := run(t.TempDir(), server, "node-1", []string{"10.88.0.1", "nowhere"}); err == nil {
		t.Error("no error")
	}
}
