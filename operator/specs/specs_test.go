package specs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func sample() *v1alpha1.OrderCluster {
	return &v1alpha1.OrderCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop", UID: "uid"},
		Spec: v1alpha1.OrderClusterSpec{
			Image:    "orderd:1",
			Database: v1alpha1.DatabaseSpec{URLSecretRef: v1alpha1.SecretKeyReference{Name: "db", Key: "url"}},
			Messaging: v1alpha1.MessagingSpec{
				URL: "nats://nats:4222", CredentialsSecretRef: &v1alpha1.SecretKeyReference{Name: "nats", Key: "creds"},
			},
			Payments: []v1alpha1.PaymentSpec{
				{
					Provider: v1alpha1.PaymentProviderSandbox, PublicURL: "https://shop.example",
					SecretRef: &v1alpha1.SecretKeyReference{Name: "pay", Key: "k"},
				},
				{
					Provider:      "stripe",
					KeysSecretRef: &v1alpha1.SecretReference{Name: "stripe"},
					Settings:      map[string]string{"publishableKey": "pk_1"},
				},
			},
			Carriers: []v1alpha1.CarrierSpec{
				{Name: "swift", URL: "https://swift.example", SecretRef: v1alpha1.SecretKeyReference{Name: "swift", Key: "k"}},
			},
			Notifications: &v1alpha1.NotificationsSpec{
				URL:       "https://push.example/in",
				SecretRef: v1alpha1.SecretKeyReference{Name: "push", Key: "k"},
			},
			Auth: v1alpha1.AuthSpec{
				Issuer:   "https://id.example",
				Audience: "shop",
				JWKSURL:  "https://id.example/jwks",
				Burst:    ptr.To[int32](7),
				Services: v1alpha1.ServiceLimitsSpec{RequestsPerSecond: ptr.To[int32](20_000)},
			},
			Orders: v1alpha1.OrdersSpec{
				PaymentTimeout: &metav1.Duration{
					Duration: 7 * time.Minute,
				},
				MaterializePerSecond:   ptr.To[int32](1000),
				MaterializeConcurrency: ptr.To[int32](6),
			},
			Flash: v1alpha1.FlashSpec{MaxClockSkew: &metav1.Duration{Duration: time.Second}},
			HTTP:  v1alpha1.HTTPSpec{AllowedOrigins: []string{"https://shop.example"}, Reflection: ptr.To(true)},
			Pools: v1alpha1.PoolsSpec{Worker: v1alpha1.PoolSpec{Replicas: v1alpha1.PoolReplicas{Min: ptr.To[int32](3)}}},
		},
	}
}

func TestConfigIsWhatEveryRoleLoads(t *testing.T) {
	raw, err := Settings(sample()).Overrides()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range config.Roles() {
		if err := got.Validate(role); err != nil {
			t.Errorf("role %s: %v", role, err)
		}
	}
	want := config.Default()
	want.Cluster = "ns/shop"
	want.Database.URLFile = "/etc/orderd/secrets/database/url"
	want.Messaging = config.Messaging{
		URL:             "nats://nats:4222",
		CredentialsFile: "/etc/orderd/secrets/messaging/creds",
		Replicas:        1,
	}
	want.Orders.PaymentTimeout, want.Orders.IDKeyFile = config.Duration(
		7*time.Minute,
	), "/etc/orderd/secrets/keys/order-id-key"
	want.HTTP.AllowedOrigins, want.HTTP.Reflection = []string{"https://shop.example"}, true
	want.Flash = config.Flash{PeerURL: "http://shop-flash.ns.svc:8082", MaxClockSkew: config.Duration(time.Second)}
	want.Worker = config.Worker{MaterializePerSecond: 1000, MaterializeConcurrency: 6}
	want.Payments = []config.Payment{
		{
			Provider: "sandbox", SecretFile: "/etc/orderd/secrets/payments-sandbox/key",
			PublicURL: "https://shop.example", NotifyURL: "http://shop-standard.ns.svc:8080",
		},
		{
			Provider:  "stripe",
			SecretDir: "/etc/orderd/secrets/payments-stripe",
			Settings:  map[string]string{"publishableKey": "pk_1"},
			PublicURL: "http://shop-standard.ns.svc:8080",
			NotifyURL: "http://shop-standard.ns.svc:8080",
		},
	}
	want.Carriers = []config.Carrier{
		{Name: "swift", URL: "https://swift.example", SecretFile: "/etc/orderd/secrets/carriers-swift/key"},
	}
	want.Push = config.Push{URL: "https://push.example/in", SecretFile: "/etc/orderd/secrets/push/key"}
	want.Auth = config.Auth{
		MaxInFlight:              want.Auth.MaxInFlight,
		Issuer:                   "https://id.example",
		Audience:                 "shop",
		JWKSURL:                  "https://id.example/jwks",
		RequestsPerSecond:        want.Auth.RequestsPerSecond,
		Burst:                    7,
		ServiceRequestsPerSecond: 20_000,
		ServiceBurst:             20_000,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Config() (-want +got):\n%s", diff)
	}
}

func TestPodsGetOnlyTheSecretsOfTheirRole(t *testing.T) {
	want := map[string][]string{
		v1alpha1.PoolStandard: {
			"config",
			"keys",
			"messaging",
			"database",
			"payments-sandbox",
			"payments-stripe",
			"carriers-swift",
		},
		v1alpha1.PoolFlash: {"config", "keys", "messaging"},
		v1alpha1.PoolWorker: {
			"config",
			"keys",
			"messaging",
			"database",
			"payments-sandbox",
			"payments-stripe",
			"carriers-swift",
			"push",
		},
	}
	got := map[string][]string{}
	for _, pool := range Pools() {
		for _, m := range mounts(sample(), pool, "config") {
			got[pool] = append(got[pool], *m.volume.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

func TestCollectorKnowsTheMemoryLimit(t *testing.T) {
	c := sample()
	c.Spec.Pools.Standard.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1000Mi")}
	got := map[string]map[string]string{}
	for _, pool := range []string{v1alpha1.PoolStandard, v1alpha1.PoolWorker} {
		got[pool] = map[string]string{}
		for _, env := range container(c, pool).Env {
			if env.Value != nil {
				got[pool][*env.Name] = *env.Value
			}
		}
	}
	want := map[string]map[string]string{
		v1alpha1.PoolStandard: {"GOGC": "400", "GOMEMLIMIT": "943718400"},
		v1alpha1.PoolWorker:   {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestAPoolsPodsRunWhereItsNodesAre(t *testing.T) {
	c := sample()
	c.Spec.Pools.Flash.NodeSelector = map[string]v1alpha1.NodeLabelValue{
		"shop.example/lane": "flash",
		"kubernetes.io/os":  "linux",
	}
	c.Spec.Pools.Flash.Tolerations = []corev1.Toleration{
		{Key: "shop.example/lane", Value: "flash", Effect: corev1.TaintEffectNoSchedule},
		{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](5)},
	}
	want := map[string]string{
		v1alpha1.PoolStandard: `[null,null]`,
		v1alpha1.PoolFlash: `[{"kubernetes.io/os":"linux","shop.example/lane":"flash"},` +
			`[{"key":"shop.example/lane","value":"flash","effect":"NoSchedule"},` +
			`{"operator":"Exists","effect":"NoExecute","tolerationSeconds":5}]]`,
		v1alpha1.PoolWorker: `[null,null]`,
	}
	got := map[string]string{}
	for _, pool := range Pools() {
		spec := podTemplate(c, pool, Start{}).Spec
		raw, err := json.Marshal([]any{spec.NodeSelector, spec.Tolerations})
		if err != nil {
			t.Fatal(err)
		}
		got[pool] = string(raw)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("node selectors and tolerations (-want +got):\n%s", diff)
	}
}

func TestTheSameInputGivesTheSameObjects(t *testing.T) {
	render := func() string {
		var all []any
		for _, pool := range Pools() {
			for _, o := range Pool(sample(), pool, startOf(t, sample(), pool)) {
				all = append(all, o)
			}
		}
		for _, o := range Migration(sample(), "config", "revision", 1) {
			all = append(all, o)
		}
		raw, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if diff := cmp.Diff(render(), render()); diff != "" {
		t.Errorf("the second time differs:\n%s", diff)
	}
}

func TestRevisionChangesWithWhatIsMigrated(t *testing.T) {
	base := Revision(sample(), "host:5432/shop")
	image, settings := sample(), sample()
	image.Spec.Image = "orderd:2"
	settings.Spec.Orders.PaymentTimeout = &metav1.Duration{Duration: time.Hour}
	settings.Spec.Pools.Worker.Replicas.Min = ptr.To[int32](5)
	if Revision(image, "host:5432/shop") == base || Revision(sample(), "host:5432/other") == base {
		t.Error("another image or another database has the same revision")
	}
	if Revision(settings, "host:5432/shop") != base {
		t.Error("settings that no migration reads change the revision")
	}
	if hash("ab", "c") == hash("a", "bc") {
		t.Error("parts run into each other")
	}
}

func TestNamesFitIntoALabel(t *testing.T) {
	longest := "a234567890123456789012345678901234567890"
	if got := MigrationName(longest, Revision(sample(), ""), 99); len(got) > 63 {
		t.Errorf("%s has %d characters, more than a Job's name may", got, len(got))
	}
}

// Nothing depends on the family of the cluster's IP addresses.
func TestBothFamiliesOfAddressesAreServed(t *testing.T) {
	for _, pool := range Pools() {
		start := startOf(t, sample(), pool)
		if got := service(sample(), pool).Spec.IPFamilyPolicy; got == nil || *got != corev1.IPFamilyPolicyPreferDualStack {
			t.Errorf("%s: the Service's family policy is %v", pool, got)
		}
		for _, rule := range networkPolicy(sample(), pool).Spec.Ingress {
			for _, from := range rule.From {
				if from.IPBlock != nil {
					t.Errorf("%s: the NetworkPolicy names addresses", pool)
				}
			}
		}
		args := podTemplate(sample(), pool, start).Spec.Containers[0].Args
		// Brackets and port are put to the address by the pod, which knows its family.
		if got := slices.Contains(args, "--advertise-host=$(POD_IP)"); got != (pool == v1alpha1.PoolFlash) {
			t.Errorf("%s: it is started with %q", pool, args)
		}
	}
}
