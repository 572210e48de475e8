package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// clusterEdit changes an OrderCluster's spec to another one that is valid, if nothing else, then later.
type clusterEdit struct {
	name string
	do   func(*rand.Rand, *v1alpha1.OrderClusterSpec)
}

// poolEdit changes one pool.
type poolEdit struct {
	name string
	do   func(*rand.Rand, *v1alpha1.PoolSpec)
}

// newCluster is the OrderCluster that a place begins with.
func newCluster(p *place) *v1alpha1.OrderCluster {
	return &v1alpha1.OrderCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: clusterName},
		Spec: v1alpha1.OrderClusterSpec{
			Image: "orderd:1",
			Database: v1alpha1.DatabaseSpec{
				URLSecretRef: v1alpha1.SecretKeyReference{Name: "database", Key: "url"}, Insecure: ptr.To(true),
			},
			Messaging: v1alpha1.MessagingSpec{URL: p.messagingURL(), Insecure: ptr.To(true)},
			Pools: v1alpha1.PoolsSpec{Flash: v1alpha1.PoolSpec{
				Replicas: v1alpha1.PoolReplicas{Min: ptr.To[int32](1), Max: ptr.To[int32](8)}, CapacityRPS: ptr.To[int32](1000),
			}},
			Auth: v1alpha1.AuthSpec{Issuer: "https://id.example", Audience: "shop", JWKSURL: "https://id.example/jwks"},
			Payments: []v1alpha1.PaymentSpec{{
				Provider:  v1alpha1.PaymentProviderSandbox,
				SecretRef: &v1alpha1.SecretKeyReference{Name: "sandbox", Key: "key"},
			}},
		},
	}
}

// toggled is the value, or its zero value, as often.
func toggled[T any](r *rand.Rand, value T) T {
	if r.IntN(2) == 0 {
		var none T
		return none
	}
	return value
}

func between(r *rand.Rand, low, high int) *int32 { return ptr.To(int32(low + r.IntN(high-low+1))) }

func someTime(r *rand.Rand, unit time.Duration) *metav1.Duration {
	return toggled(r, &metav1.Duration{Duration: time.Duration(11+r.IntN(9)) * unit})
}

// maybeInsecure is an URL, and what allows it.
func maybeInsecure(r *rand.Rand, rest string) (url string, insecure *bool) {
	if r.IntN(2) == 0 {
		return "https://" + rest, nil
	}
	return "http://" + rest, ptr.To(true)
}

func part(text string) *v1alpha1.PodPart {
	return &v1alpha1.PodPart{RawExtension: runtime.RawExtension{Raw: []byte(text)}}
}

// clusterEdits are those of fields beside the pools'.
var clusterEdits = []clusterEdit{
	{"image", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) { s.Image = fmt.Sprintf("orderd:%d", 1+r.IntN(4)) }},
	{"database.maxConnectionsPerPod", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Database.MaxConnectionsPerPod = between(r, 8, 32)
	}},
	{"messaging.url to nowhere", func(_ *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Messaging.URL = "nats://127.0.0.1:9"
	}},
	{"trust", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Trust = [...]*v1alpha1.TrustSpec{
			nil,
			{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "bundle", Key: "ca.crt"}},
			{SecretRef: &v1alpha1.SecretKeyReference{Name: "authority", Key: "ca.crt"}},
		}[r.IntN(3)]
	}},
	{"tls", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.TLS = toggled(r, &v1alpha1.TLSSpec{SecretRef: v1alpha1.SecretReference{Name: "shown"}})
	}},
	{"payments", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Payments = s.Payments[:1]
		s.Payments[0].PublicURL = toggled(r, "https://shop.example")
		if r.IntN(2) == 0 {
			s.Payments = append(s.Payments, v1alpha1.PaymentSpec{
				Provider: "stripe", KeysSecretRef: &v1alpha1.SecretReference{Name: "stripe"},
				Settings: map[string]string{"publishableKey": fmt.Sprintf("pk_%d", r.IntN(3))},
			})
		}
	}},
	{"carriers", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Carriers = nil
		for i := range r.IntN(3) {
			url, insecure := maybeInsecure(r, "carrier.example")
			s.Carriers = append(s.Carriers, v1alpha1.CarrierSpec{
				Name: fmt.Sprintf("carrier-%d", i), URL: url, Insecure: insecure,
				SecretRef: v1alpha1.SecretKeyReference{Name: "sandbox", Key: "key"},
			})
		}
	}},
	{"notifications", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		url, insecure := maybeInsecure(r, "push.example")
		s.Notifications = toggled(r, &v1alpha1.NotificationsSpec{
			URL: url, Insecure: insecure, SecretRef: v1alpha1.SecretKeyReference{Name: "push", Key: "key"},
		})
	}},
	{"auth", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Auth.Audience = fmt.Sprintf("shop-%d", r.IntN(3))
		s.Auth.RequestsPerSecond, s.Auth.Burst = between(r, 10, 12), between(r, 20, 22)
		s.Auth.Services = toggled(r, v1alpha1.ServiceLimitsSpec{
			RequestsPerSecond: between(r, 500, 502), Burst: toggled(r, between(r, 600, 602)),
		})
	}},
	{"auth.issuer", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Auth.Issuer = fmt.Sprintf("https://id.example/realm-%d", r.IntN(2))
		s.Auth.JWKSURL, s.Auth.Insecure = maybeInsecure(r, "id.example/jwks")
	}},
	{"http", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.HTTP.AllowedOrigins = toggled(r,
			[]string{"https://app.example", fmt.Sprintf("https://www.example:%d", 8000+r.IntN(2))})
		s.HTTP.Reflection = toggled(r, ptr.To(true))
		s.HTTP.DrainDelay, s.HTTP.DrainTimeout = someTime(r, time.Second), someTime(r, time.Second)
		s.HTTP.MaxConnectionAge, s.HTTP.ConnectionGrace = someTime(r, time.Minute), someTime(r, time.Second)
	}},
	{"orders", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Orders.PaymentTimeout, s.Orders.QuoteTTL = someTime(r, time.Minute), someTime(r, time.Minute)
		s.Orders.CompleteAfter, s.Orders.ReturnWindow = someTime(r, time.Hour), someTime(r, time.Hour)
		s.Orders.MaterializePerSecond = between(r, 1000, 1002)
		s.Orders.MaterializeConcurrency = between(r, 2, 4)
		s.Orders.Limits = toggled(r, v1alpha1.OrderLimitsSpec{
			UnpaidOrders: between(r, 5, 7), ReservedUnits: toggled(r, between(r, 50, 52)),
			GuestUnpaidOrders: between(r, 0, 2), GuestReservedUnits: toggled(r, between(r, 0, 2)),
		})
	}},
	{"flash", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Flash.MaxClockSkew = toggled(r, &metav1.Duration{Duration: time.Second})
	}},
	{"rollout", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) {
		s.Rollout.DuringSale = [...]v1alpha1.DuringSale{v1alpha1.DuringSaleWait, v1alpha1.DuringSaleNow}[r.IntN(2)]
	}},
	{"paused", func(r *rand.Rand, s *v1alpha1.OrderClusterSpec) { s.Paused = toggled(r, ptr.To(true)) }},
}

// poolEdits are those of a pool's fields.
var poolEdits = []poolEdit{
	{"replicas", func(r *rand.Rand, s *v1alpha1.PoolSpec) { s.Replicas.Min = between(r, 1, 3) }},
	{"scaling", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		if s.CapacityRPS != nil {
			// The flash pool has none.
			s.Replicas.Max, s.CapacityRPS = between(r, 6, 9), between(r, 900, 1100)
			return
		}
		s.Replicas.Max = toggled(r, between(r, 4, 6))
		s.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
		s.Autoscaling = [...]*v1alpha1.AutoscalingSpec{
			nil, {By: v1alpha1.ScalerOthers}, {By: v1alpha1.ScalerHPA, CPUPercent: between(r, 50, 60)},
			{RequestsInFlight: between(r, 50, 52)},
		}[r.IntN(4)]
	}},
	{"resources", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
		s.Resources.Limits = toggled(r, corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")})
	}},
	{"resources that cannot be", func(_ *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		s.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	}},
	{"nodes", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.NodeSelector = toggled(r, map[string]v1alpha1.NodeLabelValue{"example.com/lane": v1alpha1.NodeLabelValue(
			fmt.Sprintf("lane-%d", r.IntN(3)))})
		s.Tolerations = toggled(r, []corev1.Toleration{{Key: "lane", Operator: corev1.TolerationOpExists}})
	}},
	{"pod.annotations", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.Annotations = toggled(r, map[string]v1alpha1.PodAnnotation{fmt.Sprintf("example.com/a%d", r.IntN(3)): "on"})
		s.Pod.Labels = toggled(r, map[string]v1alpha1.NodeLabelValue{fmt.Sprintf("example.com/l%d", r.IntN(3)): "on"})
	}},
	{"pod.image", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.ImagePullSecrets = toggled(r, []v1alpha1.SecretReference{{Name: fmt.Sprintf("registry-%d", r.IntN(2))}})
		s.Pod.ImagePullPolicy = toggled(r, corev1.PullAlways)
	}},
	{"pod.class", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.PriorityClassName, s.Pod.RuntimeClassName = toggled(r, "high"), toggled(r, "gvisor")
	}},
	{"pod.affinity", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.Affinity = toggled(r, part(`{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":`+
			`{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"Exists"}]}]}}}`))
		s.Pod.TopologySpreadConstraints = toggled(r, []v1alpha1.PodPart{
			*part(`{"maxSkew":1,"topologyKey":"rack","whenUnsatisfiable":"ScheduleAnyway"}`)})
	}},
	{"pod.serviceAccount", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.ServiceAccount = [...]v1alpha1.ServiceAccountSpec{
			{}, {Name: "shop-cloud"}, {Annotations: map[string]v1alpha1.PodAnnotation{"cloud.example/role": "shop"}},
		}[r.IntN(3)]
	}},
	{"pod.env", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.Env = nil
		for _, name := range []string{"HTTPS_PROXY", "GOGC", "NODE"} {
			env := v1alpha1.EnvVar{Name: name, Value: ptr.To(fmt.Sprint(r.IntN(3)))}
			if name == "NODE" {
				env = v1alpha1.EnvVar{Name: name, ValueFrom: part(`{"fieldRef":{"fieldPath":"spec.nodeName"}}`)}
			}
			if r.IntN(2) == 0 {
				s.Pod.Env = append(s.Pod.Env, env)
			}
		}
	}},
	{"pod.volumes", func(r *rand.Rand, s *v1alpha1.PoolSpec) {
		s.Pod.Volumes, s.Pod.VolumeMounts = nil, nil
		if r.IntN(2) == 0 {
			s.Pod.Volumes = []v1alpha1.PodPart{*part(`{"name":"scratch","emptyDir":{}}`)}
			s.Pod.VolumeMounts = []v1alpha1.VolumeMount{{
				Name: "scratch", MountPath: fmt.Sprintf("/scratch%d", r.IntN(2)), SubPath: toggled(r, "part"),
				ReadOnly: toggled(r, ptr.To(true)),
			}}
		}
	}},
}

// editCluster changes one thing, and says what.
func editCluster(r *rand.Rand, s *v1alpha1.OrderClusterSpec) string {
	n := r.IntN(len(clusterEdits) + 2*len(poolEdits))
	if n < len(clusterEdits) {
		clusterEdits[n].do(r, s)
		return clusterEdits[n].name
	}
	e := poolEdits[n%len(poolEdits)]
	name, pool := "standard", &s.Pools.Standard
	switch r.IntN(3) {
	case 0:
		name, pool = "flash", &s.Pools.Flash
	case 1:
		name, pool = "worker", &s.Pools.Worker
	}
	e.do(r, pool)
	return "pools." + name + "." + e.name
}

// mend makes valid what was made invalid on purpose, and lets the operator do what it may hold back.
func mend(p *place, s *v1alpha1.OrderClusterSpec) {
	s.Messaging.URL, s.Paused, s.Rollout.DuringSale = p.messagingURL(), nil, v1alpha1.DuringSaleNow
	for _, pool := range []*v1alpha1.PoolSpec{&s.Pools.Standard, &s.Pools.Flash, &s.Pools.Worker} {
		delete(pool.Resources.Limits, corev1.ResourceCPU)
	}
}
