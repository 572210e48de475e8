package ordercluster

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// answer is what the API server answers to an apply that made the object.
func answer(t *testing.T, o client.Object, kind string) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetKind(kind)
	return u
}

func TestOnlyWhatChangedIsAppliedAgain(t *testing.T) {
	owner := types.NamespacedName{Namespace: "ns", Name: "shop"}
	meta := metav1.ObjectMeta{
		Name: "shop-flash", UID: "1", ResourceVersion: "7", Labels: map[string]string{"a": "b", "c": "d"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cluster(), groupVersionKind)},
	}
	deployment := &appsv1.Deployment{ObjectMeta: meta}
	deployment.Generation = 3
	configMap := &corev1.ConfigMap{ObjectMeta: meta}
	for name, tt := range map[string]struct {
		before client.Object
		change func(client.Object)
		kind   string
		hash   string
		want   bool
	}{
		"nothing changed":   {deployment, func(client.Object) {}, "Deployment", "x", true},
		"another wish":      {deployment, func(client.Object) {}, "Deployment", "y", false},
		"a status changed":  {deployment, func(o client.Object) { o.SetResourceVersion("8") }, "Deployment", "x", true},
		"a spec changed":    {deployment, func(o client.Object) { o.SetGeneration(4) }, "Deployment", "x", false},
		"a label went":      {deployment, func(o client.Object) { o.SetLabels(nil) }, "Deployment", "x", false},
		"its owner went":    {deployment, func(o client.Object) { o.SetOwnerReferences(nil) }, "Deployment", "x", false},
		"it was made anew":  {deployment, func(o client.Object) { o.SetUID("2") }, "Deployment", "x", false},
		"a ConfigMap":       {configMap, func(client.Object) {}, "ConfigMap", "x", true},
		"changed somewhere": {configMap, func(o client.Object) { o.SetResourceVersion("8") }, "ConfigMap", "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			var a applied
			u := answer(t, tt.before, tt.kind)
			a.put(owner, u, "x")
			after := tt.before.DeepCopyObject().(client.Object)
			tt.change(after)
			if got := a.has(owner, u, tt.hash, after); got != tt.want {
				t.Errorf("has() = %t, want %t", got, tt.want)
			}
			a.forget(owner)
			if a.has(owner, u, "x", tt.before) {
				t.Error("it is not forgotten")
			}
		})
	}
}
