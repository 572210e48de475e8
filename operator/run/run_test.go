package run

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestInfo(t *testing.T) {
	want := `# HELP orderd_operator_info 1, labelled with the operator's version.
# TYPE orderd_operator_info gauge
orderd_operator_info{version="0.1.0-14-g4d69daa"} 1
`
	if err := testutil.CollectAndCompare(info("0.1.0-14-g4d69daa"), strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheLeaderExports(t *testing.T) {
	elected := make(chan struct{})
	c := leading{info("1"), elected}
	if n := testutil.CollectAndCount(c); n != 0 {
		t.Errorf("%d metrics of an operator that waits", n)
	}
	close(elected)
	if n := testutil.CollectAndCount(c); n != 1 {
		t.Errorf("%d metrics of the one that works", n)
	}
}

func TestOfAPodNoMoreIsKeptThanItsStatus(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", Labels: map[string]string{"b": "c"}, Annotations: map[string]string{"d": "e"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet"}},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "TOKEN", Value: "secret"}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"b": "c"}},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	got, err := statusOnly(pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statusOnly() (-want +got):\n%s", diff)
	}
}

func TestOfASecretNothingIsKeptThatCouldHoldItsData(t *testing.T) {
	owners := []metav1.OwnerReference{{Kind: "OrderCluster", Name: "shop"}}
	secret := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "a", Namespace: "b", UID: "c", ResourceVersion: "1", OwnerReferences: owners,
		Labels: map[string]string{"d": "e"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: `{"data":{"password":"c2VjcmV0"}}`},
	}}
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "a", Namespace: "b", UID: "c", ResourceVersion: "1", OwnerReferences: owners,
	}}
	got, err := identityOnly(secret)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identityOnly() (-want +got):\n%s", diff)
	}
	if got, err := identityOnly(&corev1.Secret{Data: map[string][]byte{"password": []byte("secret")}}); err == nil {
		t.Errorf("a whole Secret is kept: %v", got)
	}
}
