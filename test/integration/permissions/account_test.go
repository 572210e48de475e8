package permissions_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/sale/permissions"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// published is what an administrator gets.
const published = "../../../config/nats/permissions.conf"

// account is a NATS account with a user for each role.
type account struct {
	*testnats.Configured
	folder string
	log    refusals
}

// newAccount has users that are permitted what the generated file says, on a server with more settings.
func newAccount(more string) *account {
	GinkgoHelper()
	a := &account{folder: GinkgoT().TempDir()}
	file, err := os.ReadFile(published)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(a.folder, "permissions.conf"), file, 0o600)).To(Succeed())
	var users strings.Builder
	for _, role := range messaging.Roles() {
		key, err := nkeys.CreateUser()
		Expect(err).NotTo(HaveOccurred())
		public, err := key.PublicKey()
		Expect(err).NotTo(HaveOccurred())
		seed, err := key.Seed()
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(a.credentials(role), seed, 0o600)).To(Succeed())
		fmt.Fprintf(&users, "{nkey: %s, permissions: $%s}\n", public, permissions.Variable(role))
	}
	a.Configured = testnats.RunConfig(GinkgoTB(), a.folder,
		"include ./permissions.conf\naccounts {\n SHOP {\n  jetstream: enabled\n  users: [\n"+users.String()+"]\n}\n}\n"+more)
	return a
}

func (a *account) credentials(role messaging.Role) string {
	return filepath.Join(a.folder, string(role)+".creds")
}

// settings are those by which a role's pods connect.
func (a *account) settings(role messaging.Role) config.Messaging {
	return config.Messaging{URL: a.URL, CredentialsFile: a.credentials(role), Replicas: 1}
}

// connect as a role does.
func (a *account) connect(role messaging.Role) (*nats.Conn, jetstream.JetStream) {
	GinkgoHelper()
	log := slog.New(slog.NewTextHandler(&a.log, nil))
	conn, js, err := messaging.Connect(a.settings(role), role, "test-"+string(role), log)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return conn, js
}

// refusals is a log of which the lines are kept that tell of a refusal by the server.
type refusals struct {
	mu    sync.Mutex
	lines []string
}

// Write implements io.Writer; slog writes a line at once.
func (r *refusals) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "ermissions ") {
		r.mu.Lock()
		r.lines = append(r.lines, string(line))
		r.mu.Unlock()
	}
	return GinkgoWriter.Write(line)
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.lines...)
}
