package specs

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

func part(raw string) v1alpha1.PodPart {
	return v1alpha1.PodPart{RawExtension: runtime.RawExtension{Raw: []byte(raw)}}
}

// dressed has everything that a pool's pods can be given.
func dressed() *v1alpha1.OrderCluster {
	c := sample()
	c.Spec.Pools.Flash.Pod = v1alpha1.PodSpec{
		Annotations:       map[string]v1alpha1.PodAnnotation{"sidecar.istio.io/inject": "false"},
		Labels:            map[string]v1alpha1.NodeLabelValue{"cost-center": "sales"},
		ImagePullSecrets:  []v1alpha1.SecretReference{{Name: "registry"}},
		ImagePullPolicy:   "Always",
		PriorityClassName: "sales",
		RuntimeClassName:  "gvisor",
		Affinity: ptr.To(part(`{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` +
			`{"matchExpressions":[{"key":"lane","operator":"In","values":["flash"]}]}]}}}`)),
		TopologySpreadConstraints: []v1alpha1.PodPart{
			part(`{"maxSkew":2,"topologyKey":"rack","whenUnsatisfiable":"DoNotSchedule"}`),
		},
		ServiceAccount: v1alpha1.ServiceAccountSpec{Annotations: map[string]v1alpha1.PodAnnotation{"cloud/role": "shop"}},
		Env: []v1alpha1.EnvVar{
			{Name: "GOGC", Value: ptr.To("200")},
			{Name: "HTTPS_PROXY", Value: ptr.To("http://proxy:3128")},
			{Name: "TOKEN", ValueFrom: ptr.To(part(`{"secretKeyRef":{"name":"agent","key":"token"}}`))},
		},
		Volumes:      []v1alpha1.PodPart{part(`{"name":"agent","hostPath":{"path":"/run/agent"}}`)},
		VolumeMounts: []v1alpha1.VolumeMount{{Name: "agent", MountPath: "/run/agent", ReadOnly: ptr.To(true)}},
	}
	return c
}

func TestAPoolsPodsAreAsItsSpecSays(t *testing.T) {
	c := dressed()
	if err := CheckPods(c); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(Pool(c, v1alpha1.PoolFlash, startOf(t, c, v1alpha1.PoolFlash)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"sidecar.istio.io/inject":"false"`, `"cost-center":"sales"`, `"imagePullSecrets":[{"name":"registry"}]`,
		`"imagePullPolicy":"Always"`, `"priorityClassName":"sales"`, `"runtimeClassName":"gvisor"`,
		`"key":"lane","operator":"In","values":["flash"]`,
		`"topologySpreadConstraints":[{"maxSkew":2,"topologyKey":"rack","whenUnsatisfiable":"DoNotSchedule",` +
			`"labelSelector":{"matchLabels":{"app.kubernetes.io/component":"flash"`,
		`"cloud/role":"shop"`, `{"name":"GOGC","value":"200"}`, `{"name":"HTTPS_PROXY","value":"http://proxy:3128"}`,
		`"secretKeyRef":{"name":"agent","key":"token"}`, `"hostPath":{"path":"/run/agent"}`,
		`{"name":"agent","readOnly":true,"mountPath":"/run/agent"}`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the flash pool has no %s", want)
		}
	}
	other, err := json.Marshal(Pool(c, v1alpha1.PoolStandard, startOf(t, c, v1alpha1.PoolStandard)))
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"registry", "gvisor", "HTTPS_PROXY", "cost-center"} {
		if strings.Contains(string(other), foreign) {
			t.Errorf("the standard pool has the flash pool's %s", foreign)
		}
	}
}

func TestAnotherServiceAccountIsNotMade(t *testing.T) {
	c := sample()
	c.Spec.Pools.Flash.Pod.ServiceAccount.Name = "given"
	raw, err := json.Marshal(Pool(c, v1alpha1.PoolFlash, startOf(t, c, v1alpha1.PoolFlash)))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if strings.Contains(text, `"kind":"ServiceAccount"`) || !strings.Contains(text, `"serviceAccountName":"given"`) {
		t.Errorf("the pool's objects are %s", raw)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	c := dressed()
	c.Spec.Pools.Flash.Pod.Affinity = ptr.To(part(`{"nodeAfinity":{}}`))
	c.Spec.Pools.Flash.Pod.Volumes = append(c.Spec.Pools.Flash.Pod.Volumes, part(`{"name":7}`))
	err := CheckPods(c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"spec.pools.flash.pod.affinity", "spec.pools.flash.pod.volumes[1]", "nodeAfinity"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("CheckPods() = %v; does not name %s", err, want)
		}
	}
}
