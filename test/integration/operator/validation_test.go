package operator_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/dev/promotions"
)

// expectRefused asserts that the API server refuses the object and that the message has every part.
func expectRefused(err error, parts ...string) {
	GinkgoHelper()
	Expect(err).To(HaveOccurred())
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
	for _, part := range parts {
		Expect(err.Error()).To(ContainSubstring(part))
	}
}

// expectTheSameOfFiles asserts that a promotion whose manifest is in a file, for a shop without
// Kubernetes, is answered as the API server answered.
func expectTheSameOfFiles(ctx context.Context, p, old *v1alpha1.PromotionEvent, answered error) {
	GinkgoHelper()
	schema, err := promotions.NewSchema()
	Expect(err).NotTo(HaveOccurred())
	raw, err := json.Marshal(p)
	Expect(err).NotTo(HaveOccurred())
	manifest := map[string]any{}
	Expect(kubejson.Unmarshal(raw, &manifest)).To(Succeed())
	_, err = schema.Admit(ctx, manifest, old)
	if answered == nil {
		Expect(err).NotTo(HaveOccurred())
		return
	}
	Expect(err).To(MatchError(answered.Error()))
}

var _ = Describe("A PromotionEvent that is not valid", func() {
	type promo = v1alpha1.PromotionEvent
	DescribeTable(
		"is refused with the field's name when it is created",
		func(ctx SpecContext, change func(*promo), parts ...string) {
			p := makePromotion("default").Obj()
			change(p)
			err := kube.Client.Create(ctx, p, client.DryRunAll)
			expectRefused(err, parts...)
			expectTheSameOfFiles(ctx, p, nil, err)
		},
		Entry("end before start", func(p *promo) { p.Spec.EndTime = metav1.NewTime(p.Spec.StartTime.Add(-time.Second)) },
			"spec.endTime", "endTime must be after startTime"),
		Entry("end at start", func(p *promo) { p.Spec.EndTime = p.Spec.StartTime }, "spec.endTime",
			"endTime must be after startTime"),
		Entry("longer than a month",
			func(p *promo) { p.Spec.EndTime = metav1.NewTime(p.Spec.StartTime.Add(745 * time.Hour)) }, "spec.endTime", "744h"),
		Entry("no start", func(p *promo) { p.Spec.StartTime = metav1.Time{} }, "spec.startTime"),
		Entry("no OrderCluster", func(p *promo) { p.Spec.OrderClusterRef.Name = "" }, "spec.orderClusterRef"),
		Entry("currency in lower case", func(p *promo) { p.Spec.Currency = "cny" }, "spec.currency"),
		Entry("no items", func(p *promo) { p.Spec.Items = nil }, "spec.items"),
		Entry("the same SKU twice", func(p *promo) { p.Spec.Items[1].SKU = "phone" }, "spec.items", "Duplicate"),
		Entry("too many items", func(p *promo) { p.Spec.Items = manyItems(1001) }, "spec.items", "1000"),
		Entry("a SKU with a space", func(p *promo) { p.Spec.Items[0].SKU = "a phone" }, "spec.items[0].sku"),
		Entry("a negative price", func(p *promo) { p.Spec.Items[0].Price = ptr.To[int64](-1) }, "spec.items[0].price"),
		Entry("no price", func(p *promo) { p.Spec.Items[0].Price = nil }, "spec.items[0].price"),
		Entry("no stock", func(p *promo) { p.Spec.Items[0].Stock = 0 }, "spec.items[0].stock"),
		Entry("negative stock", func(p *promo) { p.Spec.Items[0].Stock = -5 }, "spec.items[0].stock"),
		Entry("too large a limit", func(p *promo) { p.Spec.Items[0].LimitPerBuyer = ptr.To[int32](10000) },
			"spec.items[0].limitPerBuyer"),
		Entry("no peak", func(p *promo) { p.Spec.Traffic.ExpectedPeakRPS = 0 }, "spec.traffic"),
		Entry("no partitions", func(p *promo) { p.Spec.Partitions = ptr.To[int32](0) }, "spec.partitions"),
		Entry("too many partitions", func(p *promo) { p.Spec.Partitions = ptr.To[int32](65) }, "spec.partitions",
			"at most 64 for each"),
		Entry("too many partitions of streams",
			func(p *promo) { p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](2), ptr.To[int32](130) }, "spec.partitions",
			"at most 64 for each"),
		Entry("partitions that streams cannot share",
			func(p *promo) { p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](2), ptr.To[int32](5) }, "spec.partitions",
			"multiple of streams"),
		Entry("more streams than items", func(p *promo) { p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](3), nil },
			"spec.streams", "more than items"),
		Entry("nine streams", func(p *promo) { p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](9), nil }, "spec.streams"),
		Entry("tokens after the end", func(p *promo) {
			p.Spec.Admission = v1alpha1.AdmissionSpec{
				Required: ptr.To(true),
				Until:    metav1.NewTime(p.Spec.EndTime.Add(time.Second)),
			}
		}, "spec.admission.until", "not be after endTime"),
		Entry("a preparation after the pods", func(p *promo) {
			p.Spec.PrepareBefore = &metav1.Duration{Duration: time.Minute}
		}, "spec.prepareBefore", "between 2m and 8760h"),
		Entry("a prewarm of days", func(p *promo) { p.Spec.Prewarm.Duration = 25 * time.Hour }, "spec.prewarm",
			"at most 24h"),
		Entry("a negative prewarm", func(p *promo) { p.Spec.Prewarm.Duration = -time.Minute }, "spec.prewarm"),
		Entry("a payment time-out of a second", func(p *promo) { p.Spec.PaymentTimeout.Duration = time.Second },
			"spec.paymentTimeout", "10s"),
		Entry("a log kept for years",
			func(p *promo) { p.Spec.Settlement.KeepLog = &metav1.Duration{Duration: 9000 * time.Hour} },
			"spec.settlement.keepLog"),
		Entry("too long a name", func(p *promo) { p.Name = strings.Repeat("a", 64) }, "metadata.name", "at most 63"),
	)

	DescribeTable(
		"is refused with the field's name when it is changed",
		func(ctx SpecContext, phase v1alpha1.PromotionPhase, change func(*promo), parts ...string) {
			p := makePromotion(newNamespace(ctx)).Obj()
			Expect(kube.Client.Create(ctx, p)).To(Succeed())
			if p.Status.Phase = phase; phase != v1alpha1.PhaseScheduled {
				p.Status.Partitions = 4
			}
			Expect(kube.Client.Status().Update(ctx, p)).To(Succeed())
			before := p.DeepCopy()
			change(p)
			changed := p.DeepCopy()
			err := kube.Client.Update(ctx, p, client.DryRunAll)
			expectTheSameOfFiles(ctx, changed, before, err)
			if len(parts) == 0 {
				Expect(err).NotTo(HaveOccurred())
				return
			}
			expectRefused(err, parts...)
		},
		Entry("another SKU", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Items[0].SKU = "tablet" }, "spec.items",
			"no sku may be added, removed or moved"),
		Entry("an item less", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Items = p.Spec.Items[:1] }, "spec.items",
			"no sku may be added, removed or moved"),
		Entry("items in another order", v1alpha1.PhaseProvisioning, func(p *promo) { slices.Reverse(p.Spec.Items) },
			"spec.items", "no sku may be added, removed or moved"),
		Entry("another price", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Items[0].Price = ptr.To[int64](1) },
			"spec.items", "no price may change"),
		Entry("less stock", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Items[0].Stock-- }, "spec.items",
			"never shrink"),
		Entry("less of one item and more of another", v1alpha1.PhaseProvisioning, func(p *promo) {
			p.Spec.Items[0].Stock--
			p.Spec.Items[1].Stock += 10
		}, "spec.items", "never shrink"),
		Entry("but not: anything before it is prepared", v1alpha1.PhaseScheduled, func(p *promo) {
			p.Spec.Items = []v1alpha1.PromotionItem{{SKU: "tablet", Price: ptr.To[int64](1), Stock: 1}}
			p.Spec.Currency, p.Spec.OrderClusterRef.Name = "USD", "other"
			p.Spec.Partitions, p.Spec.Streams = nil, ptr.To[int32](1)
		}),
		Entry("more stock when ended", v1alpha1.PhaseDraining, func(p *promo) { p.Spec.Items[0].Stock++ }, "spec.items",
			"must not grow once the promotion has ended"),
		Entry("another currency", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Currency = "USD" }, "spec.currency",
			"must not change"),
		Entry("another OrderCluster", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.OrderClusterRef.Name = "other" },
			"spec.orderClusterRef", "must not change"),
		Entry("other partitions", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Partitions = ptr.To[int32](5) },
			"spec.partitions", "must not change"),
		Entry("streams set", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Streams = ptr.To[int32](2) },
			"spec.streams", "must not change"),
		Entry("partitions unset", v1alpha1.PhaseProvisioning, func(p *promo) { p.Spec.Partitions = nil }, "spec.partitions",
			"must not change"),
		Entry("another start when live", v1alpha1.PhaseLive,
			func(p *promo) { p.Spec.StartTime = metav1.NewTime(p.Spec.StartTime.Add(time.Minute)) }, "spec.startTime",
			"must not change once the promotion is live"),
		Entry("another end when ended", v1alpha1.PhaseDraining,
			func(p *promo) { p.Spec.EndTime = metav1.NewTime(p.Spec.EndTime.Add(time.Minute)) }, "spec.endTime",
			"must not change once the promotion has ended"),
		Entry("but not: another start when ready", v1alpha1.PhaseReady,
			func(p *promo) { p.Spec.StartTime = metav1.NewTime(p.Spec.StartTime.Add(time.Minute)) }),
		Entry("but not: extended when live", v1alpha1.PhaseLive,
			func(p *promo) { p.Spec.EndTime = metav1.NewTime(p.Spec.EndTime.Add(time.Minute)) }),
		Entry("but not: more stock when live", v1alpha1.PhaseLive, func(p *promo) { p.Spec.Items[0].Stock++ }),
		Entry("but not: tokens needed when live", v1alpha1.PhaseLive,
			func(p *promo) { p.Spec.Admission.Required = ptr.To(true) }),
		Entry("but not: an item off when ended", v1alpha1.PhaseSettled,
			func(p *promo) { p.Spec.Items[0].Off = ptr.To(true) }),
		Entry("but not: paused when live", v1alpha1.PhaseLive, func(p *promo) { p.Spec.Paused = ptr.To(true) }),
		Entry("but not: an item off and another limit when live", v1alpha1.PhaseLive, func(p *promo) {
			p.Spec.Items[0].Off, p.Spec.Items[1].LimitPerBuyer = ptr.To(true), ptr.To[int32](3)
		}),
	)
})

// What names a PromotionEvent is part of subjects, streams and keys.
var _ = DescribeTable("A status that names nobody who can be is refused",
	func(ctx SpecContext, wrong string) {
		p := makePromotion(newNamespace(ctx)).Obj()
		c := makeCluster(p.Namespace, "nats://nobody:4222").Obj()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		p.Status.Adopted = string(c.UID)
		Expect(kube.Client.Status().Update(ctx, p.DeepCopy(), client.DryRunAll)).To(Succeed())
		p.Status.Adopted, p.Status.UID, c.Status.UID = wrong, wrong, wrong
		expectRefused(kube.Client.Status().Update(ctx, p, client.DryRunAll), "status.adopted", "status.uid")
		expectRefused(kube.Client.Status().Update(ctx, c, client.DryRunAll), "status.uid")
	},
	Entry("another folder", "../a", SpecTimeout(time.Minute)),
	Entry("a wildcard", "a.>", SpecTimeout(time.Minute)),
	Entry("too much", strings.Repeat("a", 65), SpecTimeout(time.Minute)),
)

var _ = Describe("An OrderCluster that is not valid", func() {
	type cluster = v1alpha1.OrderCluster
	DescribeTable(
		"is refused with the field's name",
		func(ctx SpecContext, change func(*cluster), parts ...string) {
			c := makeCluster("default", "nats://nats:4222").Obj()
			change(c)
			err := kube.Client.Create(ctx, c, client.DryRunAll)
			if len(parts) == 0 {
				Expect(err).NotTo(HaveOccurred())
				return
			}
			expectRefused(err, parts...)
		},
		Entry("no image", func(c *cluster) { c.Spec.Image = "" }, "spec.image"),
		Entry("an origin with a path", func(c *cluster) { c.Spec.HTTP.AllowedOrigins = []string{"https://shop.example/"} },
			"spec.http.allowedOrigins[0]"),
		Entry("every origin", func(c *cluster) { c.Spec.HTTP.AllowedOrigins = []string{"*"} },
			"spec.http.allowedOrigins[0]"),
		Entry("an origin's own port", func(c *cluster) { c.Spec.HTTP.AllowedOrigins = []string{"https://shop.example:443"} },
			"spec.http.allowedOrigins", "browsers do"),
		Entry("a port that there is not", func(c *cluster) { c.Spec.HTTP.AllowedOrigins = []string{"https://a:65536"} },
			"spec.http.allowedOrigins[0]"),
		Entry("no database secret", func(c *cluster) { c.Spec.Database = v1alpha1.DatabaseSpec{} }, "spec.database"),
		Entry("a secret's name in capitals", func(c *cluster) { c.Spec.Database.URLSecretRef.Name = "DB" },
			"spec.database.urlSecretRef.name"),
		Entry("one connection", func(c *cluster) { c.Spec.Database.MaxConnectionsPerPod = ptr.To[int32](1) },
			"spec.database.maxConnectionsPerPod"),
		Entry("messaging over HTTP", func(c *cluster) { c.Spec.Messaging.URL = "http://nats:4222" }, "spec.messaging.url",
			"nats://"),
		Entry("messaging in clear text", func(c *cluster) { c.Spec.Messaging.Insecure = nil }, "spec.messaging.url",
			"must be tls://", "insecure: true"),
		Entry("messaging in clear text beside TLS", func(c *cluster) {
			c.Spec.Messaging = v1alpha1.MessagingSpec{URL: "tls://a:4222,nats://b:4222", Insecure: ptr.To(false)}
		}, "spec.messaging.url", "must be tls://"),
		Entry("keys of tokens in clear text", func(c *cluster) { c.Spec.Auth.JWKSURL = "http://id.example/jwks" },
			"spec.auth.jwksURL", "must be https://", "insecure: true"),
		Entry("a carrier in clear text", func(c *cluster) {
			c.Spec.Carriers = []v1alpha1.CarrierSpec{
				{Name: "swift", URL: "http://swift.example", SecretRef: v1alpha1.SecretKeyReference{Name: "a", Key: "b"}},
			}
		}, "spec.carriers[0].url", "must be https://"),
		Entry("a push gateway in clear text", func(c *cluster) {
			c.Spec.Notifications = &v1alpha1.NotificationsSpec{
				URL: "http://push.example", SecretRef: v1alpha1.SecretKeyReference{Name: "a", Key: "b"},
			}
		}, "spec.notifications.url", "must be https://"),
		Entry("trust of nothing", func(c *cluster) { c.Spec.Trust = &v1alpha1.TrustSpec{} }, "spec.trust",
			"one of configMapRef and secretRef"),
		Entry("a password in the messaging URL", func(c *cluster) { c.Spec.Messaging.URL = "nats://user:secret@nats:4222" },
			"spec.messaging.url", "credentialsSecretRef"),
		Entry("credentials for all roles and for each", func(c *cluster) {
			c.Spec.Messaging.CredentialsSecretRef = &v1alpha1.SecretKeyReference{Name: "a", Key: "b"}
			c.Spec.Messaging.RoleCredentialsSecretRef = &v1alpha1.SecretReference{Name: "c"}
		}, "spec.messaging.roleCredentialsSecretRef", "must not both be set"),
		Entry("two replicas of streams", func(c *cluster) { c.Spec.Messaging.Replicas = ptr.To[int32](2) },
			"spec.messaging.replicas"),
		Entry("max below min", func(c *cluster) {
			c.Spec.Pools.Flash.Replicas = v1alpha1.PoolReplicas{Min: ptr.To[int32](3), Max: ptr.To[int32](2)}
		},
			"spec.pools.flash.replicas.max", "max must not be less than min"),
		Entry("no pods", func(c *cluster) { c.Spec.Pools.Worker.Replicas.Min = ptr.To[int32](0) },
			"spec.pools.worker.replicas.min"),
		Entry("a node label that cannot be", func(c *cluster) {
			c.Spec.Pools.Flash.NodeSelector = map[string]v1alpha1.NodeLabelValue{"lane": "flash lane"}
		}, "spec.pools.flash.nodeSelector", "must be label values"),
		Entry("a node label's key that cannot be", func(c *cluster) {
			c.Spec.Pools.Flash.NodeSelector = map[string]v1alpha1.NodeLabelValue{"a/b/c": "flash"}
		}, "spec.pools.flash.nodeSelector", "must be label keys"),
		Entry("a toleration of nothing", func(c *cluster) {
			c.Spec.Pools.Flash.Tolerations = []corev1.Toleration{{Value: "flash"}}
		}, "spec.pools.flash.tolerations", "needs operator Exists"),
		Entry("a toleration of a value that need only exist", func(c *cluster) {
			c.Spec.Pools.Flash.Tolerations = []corev1.Toleration{
				{Key: "lane", Operator: corev1.TolerationOpExists, Value: "flash"},
			}
		}, "spec.pools.flash.tolerations", "must have no value"),
		Entry("a toleration by comparison", func(c *cluster) {
			c.Spec.Pools.Flash.Tolerations = []corev1.Toleration{{Key: "lane", Operator: "Lt", Value: "3"}}
		}, "spec.pools.flash.tolerations", "must be Exists or Equal"),
		Entry("a toleration of an unknown effect", func(c *cluster) {
			c.Spec.Pools.Flash.Tolerations = []corev1.Toleration{{Key: "lane", Value: "flash", Effect: "NoSale"}}
		}, "spec.pools.flash.tolerations", "must be NoSchedule"),
		Entry("a toleration for a time of what evicts nobody", func(c *cluster) {
			c.Spec.Pools.Flash.Tolerations = []corev1.Toleration{
				{Key: "lane", Value: "flash", Effect: corev1.TaintEffectNoSchedule, TolerationSeconds: ptr.To[int64](5)},
			}
		}, "spec.pools.flash.tolerations", "needs effect NoExecute"),
		Entry("a flash pool that scales by itself", func(c *cluster) {
			c.Spec.Pools.Flash.Autoscaling = &v1alpha1.AutoscalingSpec{CPUPercent: ptr.To[int32](50)}
		}, "spec.pools.flash", "has no autoscaling"),
		Entry("but not: a pool without replicas", func(c *cluster) {
			c.Spec.Pools.Worker = v1alpha1.PoolSpec{NodeSelector: map[string]v1alpha1.NodeLabelValue{"a": "b"}}
		}),
		Entry("a pool that is scaled by what it does not request", func(c *cluster) {
			c.Spec.Pools.Standard.Replicas.Max = ptr.To[int32](5)
		}, "spec.pools.standard.resources", "needs resources.requests.cpu"),
		Entry("an annotation of the operator's own", func(c *cluster) {
			c.Spec.Pools.Flash.Pod.Annotations = map[string]v1alpha1.PodAnnotation{"orderd.dev/config-hash": "x"}
		}, "spec.pools.flash.pod.annotations", "must not be orderd.dev/'s"),
		Entry("a label that pods are found by", func(c *cluster) {
			c.Spec.Pools.Flash.Pod.Labels = map[string]v1alpha1.NodeLabelValue{"app.kubernetes.io/name": "x"}
		}, "spec.pools.flash.pod.labels", "must not be those that the operator sets"),
		Entry("a variable of the operator's own", func(c *cluster) {
			c.Spec.Pools.Flash.Pod.Env = []v1alpha1.EnvVar{{Name: "SSL_CERT_DIR", Value: ptr.To("/certs")}}
		}, "spec.pools.flash.pod.env", "spec.trust"),
		Entry("a variable with two values", func(c *cluster) {
			from := part(`{"fieldRef":{"fieldPath":"metadata.name"}}`)
			c.Spec.Pools.Flash.Pod.Env = []v1alpha1.EnvVar{{Name: "A", Value: ptr.To("b"), ValueFrom: &from}}
		}, "spec.pools.flash.pod.env[0].valueFrom", "one of value and valueFrom"),
		Entry("a mount over the configuration", func(c *cluster) {
			c.Spec.Pools.Flash.Pod.VolumeMounts = []v1alpha1.VolumeMount{{Name: "a", MountPath: "/etc/orderd/secrets"}}
		}, "spec.pools.flash.pod.volumeMounts[0].mountPath", "not below /etc/orderd"),
		Entry("annotations of a ServiceAccount that is not the operator's", func(c *cluster) {
			c.Spec.Pools.Flash.Pod.ServiceAccount = v1alpha1.ServiceAccountSpec{
				Name: "given", Annotations: map[string]v1alpha1.PodAnnotation{"a": "b"},
			}
		}, "spec.pools.flash.pod.serviceAccount.annotations", "has its own"),
		Entry("a roll at another time", func(c *cluster) { c.Spec.Rollout.DuringSale = "Never" },
			"spec.rollout.duringSale", "Wait", "Now"),
		Entry("a drain of an hour", func(c *cluster) { c.Spec.HTTP.DrainDelay = &metav1.Duration{Duration: time.Hour} },
			"spec.http.drainDelay", "at most 10m"),
		Entry("connections of half a second", func(c *cluster) {
			c.Spec.HTTP.MaxConnectionAge = &metav1.Duration{Duration: 500 * time.Millisecond}
		}, "spec.http.maxConnectionAge", "0s, or between 1s and 24h"),
		Entry("a grace that cuts off requests", func(c *cluster) {
			c.Spec.HTTP.ConnectionGrace = &metav1.Duration{Duration: time.Second}
		}, "spec.http.connectionGrace", "between 10s and 10m"),
		Entry("no capacity", func(c *cluster) { c.Spec.Pools.Flash.CapacityRPS = ptr.To[int32](0) },
			"spec.pools.flash.capacityRPS"),
		Entry("an unknown payment provider", func(c *cluster) { c.Spec.Payments[0].Provider = "barter" },
			"spec.payments[0].provider"),
		Entry("the same payment provider twice",
			func(c *cluster) { c.Spec.Payments = append(c.Spec.Payments, c.Spec.Payments[0]) }, "spec.payments", "Duplicate"),
		Entry("a public URL without a scheme", func(c *cluster) { c.Spec.Payments[0].PublicURL = "shop.example" },
			"spec.payments[0].publicURL"),
		Entry("the sandbox without its key", func(c *cluster) { c.Spec.Payments[0].SecretRef = nil },
			"spec.payments[0].secretRef", "sandbox needs secretRef"),
		Entry("a provider without its keys", func(c *cluster) {
			c.Spec.Payments = append(c.Spec.Payments, v1alpha1.PaymentSpec{Provider: "stripe"})
		}, "spec.payments[1].keysSecretRef"),
		Entry("no issuer of tokens", func(c *cluster) { c.Spec.Auth = v1alpha1.AuthSpec{} }, "spec.auth"),
		Entry("keys over FTP", func(c *cluster) { c.Spec.Auth.JWKSURL = "ftp://id.example/jwks" }, "spec.auth.jwksURL",
			"http"),
		Entry("a carrier's name in capitals", func(c *cluster) {
			c.Spec.Carriers = []v1alpha1.CarrierSpec{
				{Name: "Swift", URL: "https://swift.example", SecretRef: v1alpha1.SecretKeyReference{Name: "a", Key: "b"}},
			}
		}, "spec.carriers[0].name"),
		Entry("returns for two years",
			func(c *cluster) { c.Spec.Orders.ReturnWindow = &metav1.Duration{Duration: 17520 * time.Hour} },
			"spec.orders.returnWindow"),
		Entry("a quote for a week", func(c *cluster) { c.Spec.Orders.QuoteTTL = &metav1.Duration{Duration: 168 * time.Hour} },
			"spec.orders.quoteTTL"),
		Entry("a payment time-out of a month",
			func(c *cluster) { c.Spec.Orders.PaymentTimeout = &metav1.Duration{Duration: 720 * time.Hour} },
			"spec.orders.paymentTimeout"),
		Entry("a burst of services without a rate", func(c *cluster) { c.Spec.Auth.Services.Burst = ptr.To[int32](5) },
			"spec.auth.services.requestsPerSecond", "burst needs"),
		Entry("no rate of materializing", func(c *cluster) { c.Spec.Orders.MaterializePerSecond = ptr.To[int32](0) },
			"spec.orders.materializePerSecond"),
		Entry("a hundred transactions at once",
			func(c *cluster) { c.Spec.Orders.MaterializeConcurrency = ptr.To[int32](100) },
			"spec.orders.materializeConcurrency"),
		Entry("clocks that are minutes apart",
			func(c *cluster) { c.Spec.Flash.MaxClockSkew = &metav1.Duration{Duration: 2 * time.Minute} },
			"spec.flash.maxClockSkew", "between 50ms and 1m"),
		Entry("too long a name", func(c *cluster) { c.Name = strings.Repeat("a", 41) }, "metadata.name", "at most 40"),
		Entry("a name that is no DNS label", func(c *cluster) { c.Name = "1.shop" }, "metadata.name"),
	)
})

func part(raw string) v1alpha1.PodPart {
	return v1alpha1.PodPart{RawExtension: runtime.RawExtension{Raw: []byte(raw)}}
}
