// Command certificates makes the demo's certificate authority and what it signs, in the folder given: a
// company's own authority, as a shop has it whose database, NATS and services nobody outside talks to. It
// writes them as files and, in orderd-eval.yaml and shop.yaml, as the manifests that config/eval and
// config/samples name. What is there and valid for another month is kept.
//
//	go run ./hack/demo/certificates -dir bin/demo/certificates
//
// What is in the folder:
//
//	ca.crt, ca.key          the authority
//	database/               what CockroachDB takes as --certs-dir; PostgreSQL shows node.crt
//	nats/, outside/, shop/  tls.crt and tls.key of NATS, of the pod outside and of the shop's own pods
//	messaging/NAME/         what the OrderCluster NAME shows NATS, which knows it by it
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

const (
	name = "orderd demo"
	// nodeIP is what hack/cluster's node, and the database beside it, answer at.
	nodeIP = "10.88.0.1"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "", "folder to write to")
	flag.Parse()
	if err := run(*dir); err != nil {
		log.Fatalf("error: make certificates: %v", err)
	}
}

// certificate is one that the authority signs: two files of a folder.
type certificate struct {
	dir, crt, key string
	subject       authority.Subject
}

func certificates() []certificate {
	pair := func(dir, name string, hosts []string) certificate {
		return certificate{dir, "tls.crt", "tls.key", authority.Subject{Name: name, Hosts: hosts}}
	}
	local := []string{"localhost", "127.0.0.1"}
	listener := append(append(service("shop-standard", "shop"), service("shop-flash", "shop")...), local...)
	return []certificate{
		// CockroachDB's server is called node, and its first user root.
		{"database", "node.crt", "node.key", authority.Subject{
			Name: "node", Hosts: append(append(service("database", "orderd-eval"), local...), nodeIP),
		}},
		{"database", "client.root.crt", "client.root.key", authority.Subject{Name: "root"}},
		pair("nats", "nats", service("nats", "orderd-eval")),
		pair("outside", "outside", append(service("outside", "shop"), local...)),
		pair("shop", "shop", listener),
		pair(filepath.Join("messaging", "shop"), "shop", nil),
		pair(filepath.Join("messaging", "trial"), "trial", nil),
	}
}

// service has the names that pods reach a Service by.
func service(name, namespace string) []string {
	in := name + "." + namespace
	return []string{name, in, in + ".svc", in + ".svc.cluster.local"}
}

func run(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := authority.Open(dir, name)
	if err != nil {
		return err
	}
	for _, c := range certificates() {
		if err := c.make(dir, ca); err != nil {
			return fmt.Errorf("%s/%s: %w", c.dir, c.crt, err)
		}
	}
	// Both want the authority beside what they show.
	for _, folder := range []string{"database", "nats"} {
		if err := os.WriteFile(filepath.Join(dir, folder, "ca.crt"), ca.PEM(), 0o644); err != nil {
			return err
		}
	}
	return manifests(dir)
}

func (c certificate) make(dir string, ca *authority.Authority) error {
	folder := filepath.Join(dir, c.dir)
	if _, err := os.Stat(filepath.Join(folder, c.key)); err == nil && ca.Signed(filepath.Join(folder, c.crt), c.subject) {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	pair, err := ca.Issue(c.subject)
	if err != nil {
		return err
	}
	return pair.Write(folder, c.crt, c.key)
}
