//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

const knocker = "orderd-demo-knock"

var _ = Describe("what pods are let in by and believe", func() {
	It("is renewed without a dropped request", func(ctx context.Context) {
		old := material{Authorities: must(cluster.Certificate("ca.crt")), DatabaseURL: must(cluster.DatabaseURL())}
		for dir, pair := range map[string]*authority.Pair{"shop": &old.Listener, "messaging/shop": &old.Client} {
			pair.Certificate, pair.Key = must(cluster.Certificate(dir, "tls.crt")), must(cluster.Certificate(dir, "tls.key"))
		}
		DeferCleanup(func(ctx context.Context) {
			_, err := up.Kube.Run(ctx, "delete", "job/"+knocker, "--ignore-not-found")
			Expect(err).NotTo(HaveOccurred())
		}, NodeTimeout(time.Minute))
		knock(ctx)
		By("giving them what is new")
		renewed := renew(ctx, old)
		rotate(ctx, renewed)
		shown := must(tls.X509KeyPair(renewed.Listener.Certificate, renewed.Listener.Key))
		Expect(listenerSerial(ctx)).To(Equal(shown.Leaf.SerialNumber), "the pods show an old certificate")
		By("taking the old back")
		rotate(ctx, old)
		knocks := heard(ctx, Default)
		GinkgoWriter.Printf("%d calls were answered\n", knocks.Answered)
		Expect(knocks.Dropped).To(BeZero(), "%q", knocks.Why)
	}, NodeTimeout(5*time.Minute))
})

// material is what is rotated.
type material struct {
	// Authorities are who database, NATS, issuer and the others may be signed by.
	Authorities []byte
	DatabaseURL string
	// Listener is what the pods show to apps, and Client what they show NATS.
	Listener, Client authority.Pair
}

// renew believes a second authority as well, has new certificates of the first one, and another login to the database.
func renew(ctx context.Context, old material) material {
	GinkgoHelper()
	second := must(authority.New("the next authority"))
	ca := must(authority.Open(cluster.Certificates, ""))
	hosts := []string{"localhost", "127.0.0.1"}
	for _, pool := range []string{"standard", "flash"} {
		hosts = append(hosts, fmt.Sprintf("%s-%s.%s.svc", up.Cluster.Name, pool, up.Cluster.Namespace))
	}
	return material{
		Authorities: append(append([]byte{}, old.Authorities...), second.PEM()...),
		DatabaseURL: login(ctx, old.DatabaseURL),
		Listener:    must(ca.Issue(authority.Subject{Name: "shop", Hosts: hosts})),
		Client:      must(ca.Issue(authority.Subject{Name: "shop"})),
	}
}

// login makes another one to the database, and returns the URL with it.
func login(ctx context.Context, old string) string {
	GinkgoHelper()
	u := must(url.Parse(old))
	here := must(cluster.DatabaseHere())
	if here == "" {
		By("keeping the login to the database, which cannot be reached from here: only the Secret changes")
		u.RawQuery += "&application_name=rotated"
		return u.String()
	}
	conn, err := pgx.Connect(ctx, here)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = conn.Close(ctx) }()
	password := rand.Text()
	var there bool
	row := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'rotated')")
	Expect(row.Scan(&there)).To(Succeed())
	if !there {
		_, err = conn.Exec(ctx, "CREATE ROLE rotated WITH LOGIN")
		Expect(err).NotTo(HaveOccurred())
	}
	_, err = conn.Exec(ctx, "ALTER ROLE rotated WITH LOGIN PASSWORD '"+password+"'")
	Expect(err).NotTo(HaveOccurred())
	grant := "ALTER ROLE rotated SUPERUSER"
	if conn.PgConn().ParameterStatus("crdb_version") != "" {
		grant = "GRANT admin TO rotated"
	}
	_, err = conn.Exec(ctx, grant)
	Expect(err).NotTo(HaveOccurred())
	u.User = url.UserPassword("rotated", password)
	return u.String()
}

// rotate changes all of it at once, and waits until every pod has it.
func rotate(ctx context.Context, m material) {
	GinkgoHelper()
	before := must(templates(ctx))
	objects := []any{
		&corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: named("company-ca"),
			Data: map[string]string{"ca.crt": string(m.Authorities)},
		},
		pairSecret(up.Cluster.Namespace, "messaging-client", m.Client),
		pairSecret(up.Cluster.Namespace, "shop-tls", m.Listener),
		secretOf(up.Cluster.Namespace, "database-ca", map[string][]byte{"ca.crt": m.Authorities}),
		secretOf(up.Cluster.Namespace, "database", map[string][]byte{"url": []byte(m.DatabaseURL)}),
	}
	apply(ctx, up.Kube, objects...)
	Eventually(func(g Gomega) {
		for _, pool := range []string{"standard", "flash", "worker"} {
			g.Expect(rolled(ctx, g, pool)).NotTo(Equal(before[pool]), pool)
		}
	}).WithContext(ctx).WithTimeout(within).Should(Succeed())
	answered := heard(ctx, Default).Answered
	Eventually(func(g Gomega) {
		g.Expect(heard(ctx, g).Answered).To(BeNumerically(">", answered+100))
	}).WithContext(ctx).WithTimeout(within).Should(Succeed())
}

// knock has a pod call the shop again and again.
func knock(ctx context.Context) {
	GinkgoHelper()
	p := plan.Plan{
		Run: fmt.Sprintf("%x", time.Now().Unix()), Promotion: "none", StandardURL: up.Cluster.Status.Endpoint,
		FlashURL: up.Cluster.Status.FlashEndpoint, IssuerURL: up.Cluster.Spec.Auth.Issuer,
		Start: time.Now(), End: time.Now().Add(time.Hour), Buyers: 1, InFlight: 1, RushSeconds: 1,
		Items: []plan.Item{{SKU: "knock", Title: "A test", UnitPrice: 100, Currency: "CNY", Stock: 100}},
	}
	Expect(up.Kube.StartPod(ctx, knocker, cluster.Images.Demo, "knock", p, 10*time.Minute)).To(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(heard(ctx, g).Answered).To(BeNumerically(">", 0))
	}).WithContext(ctx).WithTimeout(within).Should(Succeed())
}

// heard is what the pod that knocks said last.
func heard(ctx context.Context, g Gomega) plan.Knocks {
	raw, err := up.Kube.Run(ctx, "logs", "--tail=1", "job/"+knocker)
	g.Expect(err).NotTo(HaveOccurred())
	var line plan.Line
	g.Expect(json.Unmarshal([]byte(raw), &line)).To(Succeed(), raw)
	g.Expect(line.Knocks).NotTo(BeNil(), raw)
	return *line.Knocks
}

// listenerSerial is of the certificate that a standard pod shows.
func listenerSerial(ctx context.Context) *big.Int {
	GinkgoHelper()
	dialer := &tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: believed, ServerName: "localhost",
	}}
	conn, err := dialer.DialContext(ctx, "tcp", forward("service/"+up.Cluster.Name+"-standard", 8080))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	Expect(ok).To(BeTrue())
	return secure.ConnectionState().PeerCertificates[0].SerialNumber
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: up.Cluster.Namespace, Name: name}
}

func secretOf(namespace, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data,
	}
}

func pairSecret(namespace, name string, pair authority.Pair) *corev1.Secret {
	s := secretOf(namespace, name, map[string][]byte{
		corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key,
	})
	s.Type = corev1.SecretTypeTLS
	return s
}

func apply(ctx context.Context, k kube.Kube, objects ...any) {
	GinkgoHelper()
	var all []byte
	for _, object := range objects {
		manifest, err := kube.Manifest(object)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, manifest...)
	}
	Expect(k.Apply(ctx, all)).To(Succeed())
}

func must[T any](value T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return value
}
