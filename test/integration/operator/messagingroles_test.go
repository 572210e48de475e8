package operator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/sale/permissions"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

var _ = Describe("NATS credentials a role", func() {
	It("are read by the operator, and hand-set streams are told", func(ctx SpecContext) {
		folder := GinkgoT().TempDir()
		permitted, err := os.ReadFile("../../../config/nats/permissions.conf")
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(folder, "permissions.conf"), permitted, 0o600)).To(Succeed())
		secret := map[string][]byte{}
		var users strings.Builder
		for _, role := range messaging.Roles() {
			key, err := nkeys.CreateUser()
			Expect(err).NotTo(HaveOccurred())
			public, err := key.PublicKey()
			Expect(err).NotTo(HaveOccurred())
			seed, err := key.Seed()
			Expect(err).NotTo(HaveOccurred())
			secret[string(role)+".creds"] = seed
			fmt.Fprintf(&users, "{nkey: %s, permissions: $%s}\n", public, permissions.Variable(role))
		}
		server := testnats.RunConfig(GinkgoTB(), folder,
			"include ./permissions.conf\naccounts {\n SHOP {\n  jetstream: enabled\n  users: [\n"+users.String()+
				"{user: admin, password: admin}\n]\n}\n}\n")

		w := plainWorld(ctx, testdb.New(GinkgoTB()), time.Now)
		w.secret(ctx, "database", "url", w.databaseURL)
		w.secret(ctx, "sandbox", "key", "not a secret")
		operatorsOwn := secret["operator.creds"]
		delete(secret, "operator.creds")
		w.secretOf(ctx, "roles", secret)
		w.play()
		w.operate()
		c := makeCluster(w.namespace, server.URL).Obj()
		c.Spec.Messaging.RoleCredentialsSecretRef = &v1alpha1.SecretReference{Name: "roles"}
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		ready := w.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)
		Eventually(ready).Should(Equal("False/SecretKeyMissing"))
		secret["operator.creds"] = operatorsOwn
		w.secretOf(ctx, "roles", secret)
		Eventually(ready).Should(Equal("True/Connected"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		By("having an administrator keep events for an hour, on disks of their choice")
		conn, err := nats.Connect(server.URL, nats.UserInfo("admin", "admin"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		js, err := jetstream.New(conn)
		Expect(err).NotTo(HaveOccurred())
		stream, err := js.Stream(ctx, outbox.Stream)
		Expect(err).NotTo(HaveOccurred())
		config := stream.CachedInfo().Config
		config.MaxAge, config.MaxBytes, config.Duplicates = time.Hour, 1<<30, 10*time.Minute
		_, err = js.UpdateStream(ctx, config)
		Expect(err).NotTo(HaveOccurred())
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Auth.Audience = "another" })
		Eventually(func() string {
			return message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionSecure)
		}).Should(ContainSubstring("stream ORDER_EVENTS: max_age is 1h0m0s, not 168h0m0s"))
		stream, err = js.Stream(ctx, outbox.Stream)
		Expect(err).NotTo(HaveOccurred())
		Expect(stream.CachedInfo().Config.MaxBytes).To(BeEquivalentTo(1 << 30))
		Expect(server.Violations()).To(BeEmpty())
	}, SpecTimeout(4*time.Minute))
})
