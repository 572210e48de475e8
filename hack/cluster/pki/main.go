// Command pki makes the local cluster's certificate authority, its certificates and the kubeconfig
// of each of its parts, in the folder given. What is there and valid for another month is kept.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	validFor  = 365 * 24 * time.Hour
	renewedAt = 30 * 24 * time.Hour
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "", "folder to write to")
	server := flag.String("server", "", "URL of the API server, for the kubeconfigs")
	node := flag.String("node", "", "name of the node")
	addresses := flag.String("addresses", "", "comma-separated addresses that the API server and the kubelet answer at")
	flag.Parse()
	if err := run(*dir, *server, *node, strings.Split(*addresses, ",")); err != nil {
		log.Fatalf("error: make certificates: %v", err)
	}
}

// identity is one certificate of the cluster, signed by its authority.
type identity struct {
	file         string
	user         string
	group        string
	names        []string
	addresses    []net.IP
	asKubeconfig bool
}

func identities(node string, addresses []string) ([]identity, error) {
	var ips []net.IP
	for _, address := range addresses {
		ip := net.ParseIP(address)
		if ip == nil {
			return nil, fmt.Errorf("%q is no address", address)
		}
		ips = append(ips, ip)
	}
	apiNames := []string{
		"localhost",
		"kubernetes",
		"kubernetes.default",
		"kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local",
	}
	return []identity{
		{file: "apiserver", user: "kube-apiserver", names: apiNames, addresses: ips},
		{file: "kubelet-server", user: "system:node:" + node, group: "system:nodes", names: []string{node}, addresses: ips},
		{file: "apiserver-kubelet-client", user: "kube-apiserver-kubelet-client", group: "system:masters"},
		{file: "admin", user: "admin", group: "system:masters", asKubeconfig: true},
		{file: "controller-manager", user: "system:kube-controller-manager", asKubeconfig: true},
		{file: "scheduler", user: "system:kube-scheduler", asKubeconfig: true},
		{file: "kubelet", user: "system:node:" + node, group: "system:nodes", asKubeconfig: true},
		{file: "kube-proxy", user: "system:kube-proxy", asKubeconfig: true},
	}, nil
}

func run(dir, server, node string, addresses []string) error {
	wanted, err := identities(node, addresses)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if fresh(filepath.Join(dir, "ca.crt")) && complete(dir, wanted) {
		return nil
	}
	authority, err := newAuthority(dir)
	if err != nil {
		return err
	}
	for _, id := range wanted {
		if err := authority.issue(dir, server, id); err != nil {
			return fmt.Errorf("%s: %w", id.file, err)
		}
	}
	return serviceAccountKeys(dir)
}

// fresh says whether the certificate in a file is valid for longer than the renewal period.
func fresh(file string) bool {
	content, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return err == nil && time.Until(certificate.NotAfter) > renewedAt
}

func complete(dir string, wanted []identity) bool {
	files := []string{"service-account.pub"}
	for _, id := range wanted {
		if id.asKubeconfig {
			files = append(files, id.file+".kubeconfig")
		} else {
			files = append(files, id.file+".crt", id.file+".key")
		}
	}
	for _, file := range files {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(dir string) (*authority, error) {
	template, err := template("orderd local cluster")
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{
		certificate: certificate,
		key:         key,
		pem:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
	return a, os.WriteFile(filepath.Join(dir, "ca.crt"), a.pem, 0o644)
}

func template(commonName string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(validFor),
	}, nil
}

func (a *authority) issue(dir, server string, id identity) error {
	template, err := template(id.user)
	if err != nil {
		return err
	}
	if id.group != "" {
		template.Subject.Organization = []string{id.group}
	}
	template.DNSNames, template.IPAddresses = id.names, id.addresses
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.names) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	certificatePEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if id.asKubeconfig {
		return os.WriteFile(filepath.Join(dir, id.file+".kubeconfig"), kubeconfig(server, a.pem, certificatePEM, keyPEM),
			0o600)
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, id.file+".crt"), certificatePEM, 0o644),
		os.WriteFile(filepath.Join(dir, id.file+".key"), keyPEM, 0o600))
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// serviceAccountKeys makes the pair that the tokens of service accounts are signed
// with and checked by.
func serviceAccountKeys(dir string) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "service-account.key"), keyPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "service-account.pub"),
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644),
	)
}

func kubeconfig(server string, ca, certificate, key []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: orderd-local
clusters:
- name: orderd-local
  cluster:
    server: %s
    certificate-authority-data: %s
contexts:
- name: orderd-local
  context:
    cluster: orderd-local
    user: orderd-local
users:
- name: orderd-local
  user:
    client-certificate-data: %s
    client-key-data: %s
`, server, encode(ca), encode(certificate), encode(key)))
}
