package specs

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const idKey = "0123456789abcdef0123456789abcdef"

// material is what sample names.
func material() Material {
	m := Material{Secrets: map[string]map[string][]byte{}, Trust: "authorities"}
	for _, name := range []string{"db", "nats", "pay", "stripe", "swift", "push", "client", "ca"} {
		m.Secrets[name] = map[string][]byte{}
		for _, key := range []string{"url", "creds", "k", "tls.crt", "tls.key", "ca.crt"} {
			m.Secrets[name][key] = []byte("data of " + name + "/" + key)
		}
	}
	return m
}

func startOf(t *testing.T, c *v1alpha1.OrderCluster, pool string) Start {
	t.Helper()
	start, err := NewStart(c, pool, material(), idKey, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// What restarts a pod is a change of what that pod itself reads.
func TestAPoolIsRolledByWhatItReads(t *testing.T) {
	const standard, flash, worker = v1alpha1.PoolStandard, v1alpha1.PoolFlash, v1alpha1.PoolWorker
	tests := map[string]struct {
		change func(*v1alpha1.OrderCluster, *Material)
		want   []string
	}{
		"nothing": {func(*v1alpha1.OrderCluster, *Material) {}, nil},
		"the image": {func(c *v1alpha1.OrderCluster, _ *Material) { c.Spec.Image = "orderd:2" },
			[]string{standard, flash, worker}},
		"the payment time-out": {func(c *v1alpha1.OrderCluster, _ *Material) {
			c.Spec.Orders.PaymentTimeout = &metav1.Duration{Duration: time.Hour}
		}, []string{standard}},
		"another pool's size": {func(c *v1alpha1.OrderCluster, _ *Material) {
			c.Spec.Pools.Standard.Replicas.Min = ptr.To[int32](5)
		}, nil},
		"another pool's resources": {func(c *v1alpha1.OrderCluster, _ *Material) {
			c.Spec.Pools.Standard.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		}, []string{standard}},
		"the workers' size": {func(c *v1alpha1.OrderCluster, _ *Material) {
			c.Spec.Pools.Worker.Replicas = v1alpha1.PoolReplicas{Min: ptr.To[int32](5), Max: ptr.To[int32](9)}
		}, nil},
		"the carrier's key": {func(_ *v1alpha1.OrderCluster, m *Material) { m.Secrets["swift"]["k"] = []byte("new") },
			[]string{standard, worker}},
		"the gateway's key": {func(_ *v1alpha1.OrderCluster, m *Material) { m.Secrets["push"]["k"] = []byte("new") },
			[]string{worker}},
		"the database's password": {func(_ *v1alpha1.OrderCluster, m *Material) { m.Secrets["db"]["url"] = []byte("new") },
			[]string{standard, worker}},
		"a key of the Secret that nobody mounts": {func(_ *v1alpha1.OrderCluster, m *Material) {
			m.Secrets["db"]["note"] = []byte("new")
		}, nil},
		"a key of a Secret that is mounted as a whole": {func(_ *v1alpha1.OrderCluster, m *Material) {
			m.Secrets["stripe"]["webhook"] = []byte("new")
		}, []string{standard, worker}},
		"the credentials of NATS": {func(_ *v1alpha1.OrderCluster, m *Material) {
			m.Secrets["nats"]["creds"] = []byte("new")
		}, []string{standard, flash, worker}},
		"the database's authority": {func(_ *v1alpha1.OrderCluster, m *Material) {
			m.Secrets["ca"]["ca.crt"] = []byte("new")
		}, []string{standard, worker}},
		"a certificate that is renewed in place": {func(_ *v1alpha1.OrderCluster, m *Material) {
			m.Secrets["client"]["tls.crt"], m.Secrets["client"]["tls.key"] = []byte("new"), []byte("new")
		}, nil},
		"trust": {func(_ *v1alpha1.OrderCluster, m *Material) { m.Trust = "new" }, []string{standard, flash, worker}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, now, m := sample(), sample(), material()
			for _, c := range []*v1alpha1.OrderCluster{before, now} {
				c.Spec.Database.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
				c.Spec.Database.ClientCertificateSecretRef = &v1alpha1.SecretReference{Name: "client"}
				c.Spec.Messaging.ClientCertificateSecretRef = &v1alpha1.SecretReference{Name: "client"}
				c.Spec.Trust = &v1alpha1.TrustSpec{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "ca", Key: "all"}}
			}
			test.change(now, &m)
			var rolled []string
			for _, pool := range Pools() {
				start, err := NewStart(now, pool, m, idKey, "1.0.0")
				if err != nil {
					t.Fatal(err)
				}
				if Template(now, pool, start) != Template(before, pool, startOf(t, before, pool)) {
					rolled = append(rolled, pool)
				}
			}
			if diff := cmp.Diff(test.want, rolled); diff != "" {
				t.Errorf("pools that are rolled (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheVersionOfTheOperatorRollsNothing(t *testing.T) {
	for _, pool := range Pools() {
		one := startOf(t, sample(), pool)
		other := one
		other.By = "2.0.0"
		if Template(sample(), pool, one) != Template(sample(), pool, other) {
			t.Errorf("%s: another version of the operator would replace the pods", pool)
		}
	}
}

func TestAConfigurationHasAnObjectOfItsOwn(t *testing.T) {
	changed := sample()
	changed.Spec.Auth.Audience = "another"
	for _, pool := range []string{v1alpha1.PoolStandard, v1alpha1.PoolFlash} {
		one, other := startOf(t, sample(), pool), startOf(t, changed, pool)
		if one.ConfigMap == other.ConfigMap {
			t.Errorf("%s: two configurations have ConfigMap %s", pool, one.ConfigMap)
		}
		if got := *podTemplate(sample(), pool, one).Spec.Volumes[0].ConfigMap.Name; got != one.ConfigMap {
			t.Errorf("%s: the pods mount %s, want %s", pool, got, one.ConfigMap)
		}
	}
}

// Nothing of a Secret is in what is applied.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	for _, pool := range Pools() {
		raw, err := json.Marshal(Pool(sample(), pool, startOf(t, sample(), pool)))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("data of")) {
			t.Errorf("%s: a Secret's data is in %s", pool, raw)
		}
	}
}

func TestAPodHasTimeToDrain(t *testing.T) {
	c := sample()
	if got := *podTemplate(c, v1alpha1.PoolFlash, Start{}).Spec.TerminationGracePeriodSeconds; got != 45 {
		t.Errorf("by default a pod has %d s to end, want 45", got)
	}
	c.Spec.HTTP.DrainDelay = &metav1.Duration{Duration: 1500 * time.Millisecond}
	c.Spec.HTTP.DrainTimeout = &metav1.Duration{Duration: time.Minute}
	if got := *podTemplate(c, v1alpha1.PoolFlash, Start{}).Spec.TerminationGracePeriodSeconds; got != 84 {
		t.Errorf("a pod that takes 61.5 s to drain has %d s to end, want 84", got)
	}
}

func TestTheMigrationHasWhatAWorkerHas(t *testing.T) {
	c := sample()
	c.Spec.Pools.Worker.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	c.Spec.Pools.Worker.NodeSelector = map[string]v1alpha1.NodeLabelValue{"lane": "jobs"}
	c.Spec.Pools.Worker.Tolerations = []corev1.Toleration{{Key: "lane", Operator: corev1.TolerationOpExists}}
	c.Spec.Trust = &v1alpha1.TrustSpec{SecretRef: &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}}
	raw, err := json.Marshal(Migration(c, "config", "revision", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"resources":{"limits":{"memory":"1Gi"}}`, `"nodeSelector":{"lane":"jobs"}`,
		`"tolerations":[{"key":"lane","operator":"Exists"}]`, `"SSL_CERT_DIR"`, `"/etc/orderd/trust"`,
	} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("the Job has no %s", want)
		}
	}
}

func TestTheWorkersDivideTheRateThemselves(t *testing.T) {
	c := sample()
	c.Spec.Orders = v1alpha1.OrdersSpec{}
	c.Spec.Pools.Worker.Replicas.Min = ptr.To[int32](5)
	if got := Settings(c).Worker.MaterializePerSecond; got != 2000 {
		t.Errorf("five workers write %d orders a second together, want 2000", got)
	}
	c.Spec.Orders.MaterializePerSecond = ptr.To[int32](700)
	if got := Settings(c).Worker.MaterializePerSecond; got != 700 {
		t.Errorf("five workers write %d orders a second together, want 700", got)
	}
}
