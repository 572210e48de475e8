// Command pki makes the local cluster's certificate authority, its certificates and the kubeconfig
// of each of its parts, in the folder given. What is there and valid for another month is kept.
package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/orderd-dev/orderd/orderd/sim/authority"
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
	subject      authority.Subject
	asKubeconfig bool
}

func identities(node string, addresses []string) ([]identity, error) {
	for _, address := range addresses {
		if net.ParseIP(address) == nil {
			return nil, fmt.Errorf("%q is no address", address)
		}
	}
	api := append([]string{
		"localhost",
		"kubernetes",
		"kubernetes.default",
		"kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local",
	}, addresses...)
	const masters, nodes = "system:masters", "system:nodes"
	kubelet := "system:node:" + node
	return []identity{
		{file: "apiserver", subject: authority.Subject{Name: "kube-apiserver", Hosts: api}},
		{file: "kubelet-server", subject: authority.Subject{
			Name: kubelet, Group: nodes, Hosts: append([]string{node}, addresses...),
		}},
		{file: "apiserver-kubelet-client", subject: authority.Subject{
			Name: "kube-apiserver-kubelet-client", Group: masters,
		}},
		{file: "admin", subject: authority.Subject{Name: "admin", Group: masters}, asKubeconfig: true},
		{file: "controller-manager", subject: authority.Subject{Name: "system:kube-controller-manager"}, asKubeconfig: true},
		{file: "scheduler", subject: authority.Subject{Name: "system:kube-scheduler"}, asKubeconfig: true},
		{file: "kubelet", subject: authority.Subject{Name: kubelet, Group: nodes}, asKubeconfig: true},
		{file: "kube-proxy", subject: authority.Subject{Name: "system:kube-proxy"}, asKubeconfig: true},
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
	if authority.Fresh(filepath.Join(dir, "ca.crt")) && complete(dir, wanted) {
		return nil
	}
	ca, err := authority.New("orderd local cluster")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), ca.PEM(), 0o644); err != nil {
		return err
	}
	for _, id := range wanted {
		pair, err := ca.Issue(id.subject)
		if err == nil {
			err = write(dir, server, ca.PEM(), id, pair)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", id.file, err)
		}
	}
	return serviceAccountKeys(dir)
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

// write puts a certificate into the folder, as two files or as a kubeconfig.
func write(dir, server string, ca []byte, id identity, pair authority.Pair) error {
	if id.asKubeconfig {
		return os.WriteFile(filepath.Join(dir, id.file+".kubeconfig"),
			kubeconfig(server, ca, pair.Certificate, pair.Key), 0o600)
	}
	return pair.Write(dir, id.file+".crt", id.file+".key")
}

// serviceAccountKeys makes the pair that the tokens of service accounts are signed
// with and checked by.
func serviceAccountKeys(dir string) error {
	key, keyPEM, err := authority.NewKey()
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
