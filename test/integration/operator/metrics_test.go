package operator_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/test/kit/testport"
)

// scrape reads the metrics as Prometheus does, with the token of a ServiceAccount or none.
func scrape(ctx context.Context, url, token string) (int, string) {
	GinkgoHelper()
	scraper := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // It signs it itself.
	}}
	defer scraper.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := scraper.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	// A server of TLS resets who does not speak it, behind its answer.
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

var _ = Describe("The operator's metrics", func() {
	It("are for those who may get them, if they are said to be secure", func(ctx SpecContext) {
		system, watched := newNamespace(ctx), newNamespace(ctx)
		r := install(ctx, system, "metered", "metrics.secure=true", "aggregatedRoles=false", "watchNamespaces={"+watched+"}")
		for _, name := range []string{"prometheus", "stranger"} {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: name}}
			Expect(kube.Client.Create(ctx, account)).To(Succeed())
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: system + "-prometheus"},
			RoleRef: rbacv1.RoleRef{
				APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.operator() + "-metrics-reader",
			},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: system, Name: "prometheus"}},
		}
		Expect(kube.Client.Create(ctx, binding)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Client.Delete(ctx, binding)).To(Succeed()) })
		token := func(name string) string {
			config, _, err := kube.ServiceAccount(ctx, system, name)
			Expect(err).NotTo(HaveOccurred())
			return config.BearerToken
		}

		address, err := testport.Address()
		Expect(err).NotTo(HaveOccurred())
		r.operate(ctx, "--metrics-address="+address)
		url := "https://" + address + "/metrics"
		Eventually(func() string {
			_, said := scrape(ctx, url, token("prometheus"))
			return said
		}).WithTimeout(time.Minute).Should(ContainSubstring("orderd_operator_info"))
		for name, want := range map[string]int{
			"": http.StatusUnauthorized, token("stranger"): http.StatusForbidden, token("prometheus"): http.StatusOK,
		} {
			status, said := scrape(ctx, url, name)
			Expect(status).To(Equal(want), said)
		}
		status, said := scrape(ctx, "http://"+address+"/metrics", token("prometheus"))
		Expect(status).NotTo(Equal(http.StatusOK), said)
		Expect(said).NotTo(ContainSubstring("orderd_operator_info"))
	}, SpecTimeout(3*time.Minute))
})
