package main

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// material changes what pods read: its data, or only what is written about it, or takes it away for a while.
func (w *walk) material(ctx context.Context, p *place) (string, error) {
	all := p.material()
	o := all[w.random.IntN(len(all))]
	kind := w.random.IntN(5)
	if kind == 0 {
		return "deleted " + o.GetName(), client.IgnoreNotFound(p.kube.Delete(ctx, o))
	}
	if err := p.kube.Create(ctx, o.DeepCopyObject().(client.Object)); !apierrors.IsAlreadyExists(err) {
		return "made " + o.GetName(), err
	}
	n := fmt.Sprint(w.random.IntN(3))
	if kind == 1 || o.GetName() == "database" {
		return "annotated " + o.GetName(), change(ctx, p, o.GetName(), o, func(o client.Object) {
			o.SetAnnotations(map[string]string{"example.com/touched": n})
			o.SetLabels(map[string]string{"example.com/backup": n})
		})
	}
	return "changed the data of " + o.GetName(), change(ctx, p, o.GetName(), o, func(o client.Object) {
		switch o := o.(type) {
		case *corev1.Secret:
			for key := range o.Data {
				// A certificate stays one: whoever reads it would refuse another.
				if key != "ca.crt" {
					o.Data[key] = []byte("value-" + n)
				}
			}
		case *corev1.ConfigMap:
			o.Data["other"] = n
		}
	})
}

// material is what the spec can name, as it is at first.
func (p *place) material() []client.Object {
	secret := func(name string, data map[string]string) client.Object {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name}, Data: bytesOf(data)}
	}
	return []client.Object{
		secret("database", map[string]string{"url": p.throughURL}),
		secret("sandbox", map[string]string{"key": "not a secret"}),
		secret("stripe", map[string]string{"secret_key": "sk_1", "webhook_secret": "whsec_1"}),
		secret("push", map[string]string{"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
		secret("authority", map[string]string{"ca.crt": p.certificate}),
		secret("shown", map[string]string{"tls.crt": "a certificate", "tls.key": "its key"}),
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "bundle"},
			Data:       map[string]string{"ca.crt": p.certificate},
		},
	}
}

func bytesOf(data map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for key, value := range data {
		out[key] = []byte(value)
	}
	return out
}

// provide makes what is missing of the material.
func (p *place) provide(ctx context.Context) error {
	for _, o := range p.material() {
		if err := p.kube.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// hand deletes or changes one of the operator's objects, as somebody would who does not know whose they are.
func (w *walk) hand(ctx context.Context, p *place) (string, error) {
	objects, err := owned(ctx, p)
	if err != nil || len(objects) == 0 {
		return "", err
	}
	slices.SortFunc(objects, func(a, b unstructured.Unstructured) int {
		return slices.Compare([]string{a.GetKind(), a.GetName()}, []string{b.GetKind(), b.GetName()})
	})
	o := &objects[w.random.IntN(len(objects))]
	what := o.GetKind() + " " + o.GetName()
	n := w.random.IntN(4)
	var patch string
	// What is deleted once it is not wanted any more is found by its labels.
	byLabels := o.GetKind() == "ConfigMap" || o.GetKind() == "HorizontalPodAutoscaler"
	switch {
	case n == 0:
		return "deleted " + what, client.IgnoreNotFound(p.kube.Delete(ctx, o))
	case byLabels && n < 3:
		return "", nil
	case n == 1:
		// Without the label no cache has it any more.
		patch = `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`
	case n == 2:
		patch = `{"metadata":{"labels":{"app.kubernetes.io/instance":"blog"}}}`
	default:
		patch = changed(o.GetKind(), w.random.IntN(3))
	}
	if o.GetKind() == "Job" || patch == "" {
		return "", nil
	}
	err = p.kube.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch)))
	return "changed " + what + " by " + patch, client.IgnoreNotFound(err)
}

// changed is a patch of what the operator decides of a kind; "": there is nothing to change.
func changed(kind string, n int) string {
	switch kind {
	case "Deployment":
		return []string{
			`{"spec":{"replicas":7}}`, `{"spec":{"revisionHistoryLimit":9}}`,
			`{"spec":{"template":{"spec":{"serviceAccountName":"default","containers":[{"name":"orderd","image":"blog:1"}]}}}}`,
		}[n]
	case "Service":
		return `{"spec":{"selector":{"app.kubernetes.io/component":"blog"}}}`
	case "ServiceAccount":
		return `{"automountServiceAccountToken":true}`
	case "Secret":
		return `{"data":{"order-id-key":"bm90aGluZw=="}}`
	case "NetworkPolicy":
		return `{"spec":{"ingress":[]}}`
	case "PodDisruptionBudget":
		return `{"spec":{"maxUnavailable":"100%"}}`
	case "HorizontalPodAutoscaler":
		return `{"spec":{"maxReplicas":77}}`
	}
	return ""
}
