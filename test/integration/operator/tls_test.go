package operator_test

import (
	"context"
	"crypto/tls"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/certs"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// securedWorld has a database and a NATS that speak TLS by certificates of its own authority, and take in who shows
// one of them.
type securedWorld struct {
	*world
	ca *authority.Authority
	// databaseTLS is the database's URL for TLS; world.databaseURL is the one in clear text.
	databaseTLS string
}

func newSecuredWorld(ctx context.Context) *securedWorld {
	GinkgoHelper()
	ca, err := authority.New("the shop's own authority")
	Expect(err).NotTo(HaveOccurred())
	w := &securedWorld{ca: ca}
	secured, plain := testdb.Secured(GinkgoTB(), ca)
	w.databaseTLS = secured
	pair, err := ca.Issue(authority.Subject{Name: "nats", Hosts: []string{"127.0.0.1"}})
	Expect(err).NotTo(HaveOccurred())
	shown, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	Expect(err).NotTo(HaveOccurred())
	pool, err := certs.Authorities(ca.PEM())
	Expect(err).NotTo(HaveOccurred())
	server := testnats.RunTLS(GinkgoTB(), &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{shown},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	w.world = plainWorld(ctx, plain, time.Now)
	w.nats = server
	w.secret(ctx, "database", "url", secured)
	w.secret(ctx, "sandbox", "key", "not a secret")
	w.secret(ctx, "authority", "ca.crt", string(ca.PEM()))
	w.show(ctx, ca, "orderd")
	return w
}

// show puts a certificate for a name into the Secret that clients show.
func (w *securedWorld) show(ctx context.Context, ca *authority.Authority, name string) {
	GinkgoHelper()
	pair, err := ca.Issue(authority.Subject{Name: name})
	Expect(err).NotTo(HaveOccurred())
	w.secretOf(ctx, "client", map[string][]byte{
		corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key,
	})
}

// cluster is an OrderCluster that believes the authority and shows the certificate.
func (w *securedWorld) cluster() *v1alpha1.OrderCluster {
	c := makeCluster(w.namespace, w.nats.URL()).Obj()
	ca := &v1alpha1.SecretKeyReference{Name: "authority", Key: "ca.crt"}
	client := &v1alpha1.SecretReference{Name: "client"}
	c.Spec.Database.Insecure, c.Spec.Messaging.Insecure = nil, nil
	c.Spec.Database.CASecretRef, c.Spec.Database.ClientCertificateSecretRef = ca, client
	c.Spec.Messaging.CASecretRef, c.Spec.Messaging.ClientCertificateSecretRef = ca, client
	c.Spec.Messaging.Replicas = ptr.To[int32](1)
	return c
}

var _ = Describe("An OrderCluster behind TLS", func() {
	const unreachable = "False/Unreachable"

	It("is ready with the certificates of its own authority, and says when they do not fit", func(ctx SpecContext) {
		w := newSecuredWorld(ctx)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, w.cluster())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Expect(message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionSecure)).To(
			Equal("messaging.replicas is 1: what is only in JetStream is lost with one server's disk"))

		By("mounting in the pods what they connect with")
		d, err := w.deployment(ctx, "standard")
		Expect(err).NotTo(HaveOccurred())
		var mounted []string
		for _, m := range d.Spec.Template.Spec.Containers[0].VolumeMounts {
			mounted = append(mounted, m.MountPath)
		}
		Expect(mounted).To(ContainElements("/etc/orderd/secrets/database-ca", "/etc/orderd/secrets/database-client",
			"/etc/orderd/secrets/messaging-ca", "/etc/orderd/secrets/messaging-client"))

		By("showing the certificate that is in the Secret now")
		other, err := authority.New("another authority")
		Expect(err).NotTo(HaveOccurred())
		w.show(ctx, other, "orderd")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)).Should(HavePrefix("False/"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)).Should(Equal(unreachable))
		w.show(ctx, w.ca, "orderd")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		By("naming what is no certificate")
		w.secret(ctx, "authority", "ca.crt", "-----BEGIN NOTHING-----")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)).Should(Equal("False/InvalidCertificate"))
		Expect(message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionDatabaseReady)).To(
			Equal("Secret authority: the value of key ca.crt holds no certificate (PEM)"))
	}, NodeTimeout(5*time.Minute))

	It("believes the authorities of spec.trust, and no others", func(ctx SpecContext) {
		w := newSecuredWorld(ctx)
		w.play()
		w.operate()
		c := w.cluster()
		c.Spec.Database.CASecretRef, c.Spec.Messaging.CASecretRef = nil, nil
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)).Should(Equal(unreachable))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)).Should(Equal(unreachable))
		for _, condition := range []string{v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady} {
			Expect(message(w.getCluster(ctx).Status.Conditions, condition)).To(
				ContainSubstring("its certificate is not believed: x509: certificate signed by unknown authority"))
		}

		By("naming what spec.trust lacks")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Trust = &v1alpha1.TrustSpec{
				ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "bundle", Key: "ca-bundle.pem"},
			}
		})
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)).Should(Equal("False/ConfigMapNotFound"))
		Expect(kube.Client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "bundle"},
			Data:       map[string]string{"ca-bundle.pem": string(w.ca.PEM())},
		})).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		By("making Go in the pods believe them as well")
		d, err := w.deployment(ctx, "flash")
		Expect(err).NotTo(HaveOccurred())
		Expect(d.Spec.Template.Spec.Containers[0].Env).To(ContainElement(
			corev1.EnvVar{Name: "SSL_CERT_DIR", Value: "/etc/ssl/certs:/etc/orderd/trust"}))
	}, NodeTimeout(5*time.Minute))

	It("takes no URL that does not verify the database, unless it is told to, and says so then", func(ctx SpecContext) {
		w := newSecuredWorld(ctx)
		w.play()
		w.operate()
		w.secret(ctx, "database", "url", w.databaseURL)
		Expect(kube.Client.Create(ctx, w.cluster())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)).Should(Equal("False/Insecure"))
		Expect(message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionDatabaseReady)).To(Equal(
			"Secret database: the URL in key url: sslmode must be verify-full, so that the server's certificate and name " +
				"are verified (spec.database.insecure: true allows others)"))
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Database.Insecure = ptr.To(true) })
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionSecure)).Should(Equal("False/Insecure"))
		Expect(message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionSecure)).To(
			ContainSubstring("database.insecure is true: its URL need not verify the server"))
	}, NodeTimeout(5*time.Minute))
})
