//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

const (
	// trial is a second shop: a namespace, an OrderCluster in it, a database and a NATS account.
	trial = "trial"
	// noImage is nobody's: names below invalid never are.
	noImage = "registry.invalid/orderd:none"
	pods    = corev1.ResourceName("pods")
)

// It is set up wrong in every way at once, and put right step by step.
var _ = Describe("a second OrderCluster", Ordered, func() {
	var k kube.Kube

	BeforeAll(func(ctx context.Context) {
		k = cluster.Kube(trial)
		removeTrial(ctx)
		DeferCleanup(removeTrial, NodeTimeout(3*time.Minute))
		oc := trialCluster(trial)
		oc.Spec.Image, oc.Spec.Database.URLSecretRef.Name = noImage, "no-such-secret"
		apply(ctx, cluster.Kube(""), append(trialObjects(), oc)...)
	}, NodeTimeout(5*time.Minute))

	It("says that a Secret is missing", func(ctx context.Context) {
		expectTold(ctx, k, v1alpha1.ConditionDatabaseReady, v1alpha1.ReasonSecretNotFound, "no-such-secret")
		patchTrial(ctx, k, `{"database":{"urlSecretRef":{"name":"database"}}}`)
	})

	It("says that a password is wrong, in the database's words", func(ctx context.Context) {
		expectTold(ctx, k, v1alpha1.ConditionDatabaseReady, v1alpha1.ReasonAccessDenied, "password authentication failed")
		apply(ctx, k, secretOf(trial, "database", map[string][]byte{"url": []byte(trialURL("").String())}))
	})

	It("says that an image cannot be pulled, in the node's words", func(ctx context.Context) {
		expectTold(ctx, k, v1alpha1.ConditionMigrated, v1alpha1.ReasonImagePullBackOff, noImage)
		patchTrial(ctx, k, `{"image":"`+cluster.Images.Orderd+`"}`)
	})

	It("says that a quota refuses its pods, in the API server's words", func(ctx context.Context) {
		expectTold(ctx, k, v1alpha1.ConditionReady, v1alpha1.ReasonFailedCreate, "exceeded quota: few")
		_, err := k.Run(ctx, "delete", "resourcequota/few")
		Expect(err).NotTo(HaveOccurred())
	})

	It("is Ready once all of it is right", func(ctx context.Context) {
		Eventually(func(g Gomega) {
			oc := &v1alpha1.OrderCluster{}
			g.Expect(k.Get(ctx, "ordercluster/"+trial, oc)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(oc.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue(),
				kube.Conditions(oc.Status.Conditions))
			g.Expect(meta.IsStatusConditionFalse(oc.Status.Conditions, "Stalled")).To(BeTrue(),
				kube.Conditions(oc.Status.Conditions))
		}).WithContext(ctx).WithTimeout(4 * time.Minute).Should(Succeed())
	}, NodeTimeout(5*time.Minute))

	It("waits for its settled promotion when it is deleted, and leaves nothing behind", func(ctx context.Context) {
		stockTrial(ctx, 10)
		apply(ctx, k, trialPromotion("small", time.Now().Add(10*time.Second), 3*time.Second))
		Expect(k.Wait(ctx, "promotionevent/small", "condition=Settled", 2*time.Minute)).To(Succeed())
		_, err := k.Run(ctx, "delete", "ordercluster/"+trial, "--wait=false")
		Expect(err).NotTo(HaveOccurred())
		expectTold(ctx, k, v1alpha1.ConditionReady, v1alpha1.ReasonDeleting, "")
		_, err = k.Run(ctx, "delete", "promotionevent/small", "--timeout=2m")
		Expect(err).NotTo(HaveOccurred())
		Expect(k.Wait(ctx, "ordercluster/"+trial, "delete", 2*time.Minute)).To(Succeed())
		Eventually(func(g Gomega) {
			left, err := k.Run(ctx, "get", strings.Join(ours, ","), "-o", "name", "-l", "app.kubernetes.io/instance="+trial)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty())
		}).WithContext(ctx).WithTimeout(within).Should(Succeed())
	}, NodeTimeout(8*time.Minute))

	It("gave its NATS account back, and goes with its namespace", func(ctx context.Context) {
		apply(ctx, k, trialCluster("again"), trialPromotion("far", time.Now().Add(1000*time.Hour), time.Hour))
		for _, condition := range []string{v1alpha1.ConditionMessagingReady, v1alpha1.ConditionMigrated} {
			Expect(k.Wait(ctx, "ordercluster/again", "condition="+condition, 2*time.Minute)).To(Succeed())
		}
		Expect(k.Wait(ctx, "promotionevent/far", "condition=Ready", 2*time.Minute)).To(Succeed())
		_, err := k.Run(ctx, "delete", "namespace/"+trial, "--timeout=3m")
		Expect(err).NotTo(HaveOccurred())
		_, err = k.Run(ctx, "get", "namespace/"+trial)
		Expect(kube.IsNotFound(err)).To(BeTrue())
	}, NodeTimeout(8*time.Minute))
})

// ours are the kinds of objects that an OrderCluster consists of.
var ours = []string{
	"deployments", "replicasets", "pods", "services", "endpointslices", "configmaps", "secrets", "jobs", "serviceaccounts",
	"poddisruptionbudgets", "networkpolicies", "horizontalpodautoscalers",
}

func removeTrial(ctx context.Context) {
	GinkgoHelper()
	_, err := cluster.Kube("").Run(ctx, "delete", "namespace/"+trial, "--ignore-not-found", "--timeout=2m")
	Expect(err).NotTo(HaveOccurred())
}

// trialURL is its database's, with another password if there is one.
func trialURL(password string) *url.URL {
	GinkgoHelper()
	u := must(url.Parse(must(cluster.DatabaseURL())))
	u.Path = "/" + trial
	if password != "" {
		u.User = url.UserPassword(u.User.Username(), password)
	}
	return u
}

// trialObjects are its namespace, in which few pods may be, and what its OrderCluster names.
func trialObjects() []any {
	GinkgoHelper()
	ca := must(cluster.Certificate("ca.crt"))
	client := authority.Pair{
		Certificate: must(cluster.Certificate("messaging", trial, "tls.crt")),
		Key:         must(cluster.Certificate("messaging", trial, "tls.key")),
	}
	return []any{
		&corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: trial},
		},
		&corev1.ResourceQuota{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
			ObjectMeta: metav1.ObjectMeta{Namespace: trial, Name: "few"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{pods: resource.MustParse("2")}},
		},
		&corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: trial, Name: "company-ca"},
			Data:       map[string]string{"ca.crt": string(ca)},
		},
		secretOf(trial, "database-ca", map[string][]byte{"ca.crt": ca}),
		secretOf(trial, "database", map[string][]byte{"url": []byte(trialURL("wrong").String())}),
		secretOf(trial, "sandbox", map[string][]byte{"key": []byte("a key of the sandbox")}),
		pairSecret(trial, "messaging-client", client),
	}
}

// trialCluster is as the shop's, without what a second one does not need.
func trialCluster(name string) *v1alpha1.OrderCluster {
	oc := &v1alpha1.OrderCluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "OrderCluster"},
		ObjectMeta: metav1.ObjectMeta{Namespace: trial, Name: name},
		Spec:       *up.Cluster.Spec.DeepCopy(),
	}
	oc.Spec.TLS, oc.Spec.Carriers, oc.Spec.Notifications = nil, nil, nil
	oc.Spec.Payments = []v1alpha1.PaymentSpec{{
		Provider:  v1alpha1.PaymentProviderSandbox,
		SecretRef: &v1alpha1.SecretKeyReference{Name: "sandbox", Key: "key"},
	}}
	return oc
}

func trialPromotion(name string, start time.Time, length time.Duration) *v1alpha1.PromotionEvent {
	cluster := trial
	if name == "far" {
		cluster = "again"
	}
	start = start.Truncate(time.Second)
	return &v1alpha1.PromotionEvent{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "PromotionEvent"},
		ObjectMeta: metav1.ObjectMeta{Namespace: trial, Name: name},
		Spec: v1alpha1.PromotionEventSpec{
			OrderClusterRef: v1alpha1.OrderClusterReference{Name: cluster}, Currency: "CNY",
			StartTime: metav1.NewTime(start), EndTime: metav1.NewTime(start.Add(length)),
			Items:      []v1alpha1.PromotionItem{{SKU: "trial", Price: ptr.To[int64](100), Stock: 10}},
			Traffic:    v1alpha1.TrafficSpec{ExpectedPeakRPS: 10},
			Partitions: ptr.To[int32](1),
		},
	}
}

func patchTrial(ctx context.Context, k kube.Kube, spec string) {
	GinkgoHelper()
	_, err := k.Run(ctx, "patch", "ordercluster/"+trial, "--type=merge", `--patch={"spec":`+spec+`}`)
	Expect(err).NotTo(HaveOccurred())
}

// expectTold waits until a condition is False for the reason, with the words, and tells no password.
func expectTold(ctx context.Context, k kube.Kube, condition, reason, words string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		oc := &v1alpha1.OrderCluster{}
		g.Expect(k.Get(ctx, "ordercluster/"+trial, oc)).To(Succeed())
		all := kube.Conditions(oc.Status.Conditions)
		c := meta.FindStatusCondition(oc.Status.Conditions, condition)
		g.Expect(c).NotTo(BeNil(), all)
		g.Expect(c.Status).To(Equal(metav1.ConditionFalse), all)
		g.Expect(c.Reason).To(Equal(reason), all)
		g.Expect(c.Message).To(ContainSubstring(words), all)
		g.Expect(meta.IsStatusConditionTrue(oc.Status.Conditions, v1alpha1.ConditionReady)).To(BeFalse(), all)
		g.Expect(all).NotTo(ContainSubstring(":wrong@"), "it tells the password")
	}).WithContext(ctx).WithTimeout(within).Should(Succeed())
}

// stockTrial puts units of its only SKU into the catalog.
func stockTrial(ctx context.Context, units int) {
	GinkgoHelper()
	tokens := must(issuer.Ask(ctx, "https://"+forward("service/outside", 8090), []issuer.Claim{
		{Subject: "e2e", Roles: []string{"catalog"}},
	}))
	base := "http://" + forwardIn(trial, "service/"+trial+"-standard", 8080) + "/orderd.catalog.v1.CatalogService/"
	a := post(ctx, tokens[0], base+"UpsertSku", jsonType,
		`{"sku":{"sku":"trial","title":"A test","onSale":true,"price":{"amount":"100","currency":"CNY"}}}`)
	Expect(a.status).To(Equal(http.StatusOK), a.raw)
	a = post(ctx, tokens[0], base+"AdjustStock", jsonType,
		fmt.Sprintf(`{"requestId":"trial-%d","sku":"trial","delta":"%d"}`, time.Now().UnixNano(), units))
	Expect(a.status).To(Equal(http.StatusOK), a.raw)
}
