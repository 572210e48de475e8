// Package platform installs what a sale needs on a cluster, as the README has a user do it: NATS and
// the database for evaluation, the chart, the OrderCluster.
package platform

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
)

// readyWithin is how long the OrderCluster may take, image pulls on a real cluster included.
const readyWithin = 8 * time.Minute

// Options say what to install and where.
type Options struct {
	Kube kube.Kube
	// Eval are kustomize folders with NATS and, where it runs in the cluster, the database.
	Eval []string
	// Chart folder and the namespace it is installed to.
	Chart           string
	SystemNamespace string
	// Samples folder with the OrderCluster and what it needs.
	Samples string
	// OrderdImage and OperatorImage replace the ones in the sample and the chart's values.
	OrderdImage   string
	OperatorImage string
	// DatabaseURL goes into the Secret that the OrderCluster names.
	DatabaseURL string
	Log         *slog.Logger
}

// Up installs or upgrades everything and returns the OrderCluster once it is Ready.
func Up(ctx context.Context, o Options) (*v1alpha1.OrderCluster, error) {
	samples, err := kube.ReadObjects(o.Samples)
	if err != nil {
		return nil, err
	}
	cluster, err := kube.ByKind(samples, "OrderCluster")
	if err != nil {
		return nil, err
	}
	for _, dir := range o.Eval {
		o.Log.Info("kubectl apply", "folder", dir)
		if _, err := o.Kube.Run(ctx, "apply", "--server-side", "--force-conflicts", "-k", dir); err != nil {
			return nil, err
		}
	}
	if err := o.installChart(ctx); err != nil {
		return nil, err
	}
	if err := o.applySamples(ctx, samples, cluster); err != nil {
		return nil, err
	}
	o.Log.Info("waiting for the OrderCluster to be Ready", "name", cluster.GetName())
	if err := o.Kube.Wait(ctx, "ordercluster/"+cluster.GetName(), "condition=Ready", readyWithin); err != nil {
		return nil, o.describe(ctx, cluster.GetName(), err)
	}
	ready := &v1alpha1.OrderCluster{}
	if err := o.Kube.Get(ctx, "ordercluster/"+cluster.GetName(), ready); err != nil {
		return nil, err
	}
	return ready, nil
}

func (o Options) installChart(ctx context.Context) error {
	o.Log.Info("helm upgrade --install", "chart", o.Chart, "namespace", o.SystemNamespace)
	_, err := o.Kube.HelmRun(ctx, "upgrade", "--install", "orderd", o.Chart,
		"--namespace", o.SystemNamespace, "--create-namespace",
		"--set", "image="+o.OperatorImage, "--wait", "--timeout", "5m")
	return err
}

// applySamples applies the database's Secret and everything but the promotions.
func (o Options) applySamples(ctx context.Context, samples []*unstructured.Unstructured, cluster *unstructured.Unstructured) error {
	if err := unstructured.SetNestedField(cluster.Object, o.OrderdImage, "spec", "image"); err != nil {
		return fmt.Errorf("setting the OrderCluster's image: %w", err)
	}
	typed := &v1alpha1.OrderCluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(cluster.Object, typed); err != nil {
		return fmt.Errorf("reading the OrderCluster: %w", err)
	}
	ref := typed.Spec.Database.URLSecretRef
	objects := []any{}
	for _, s := range samples {
		isDatabase := s.GetKind() == "Secret" && s.GetName() == ref.Name
		if s.GetKind() != "PromotionEvent" && !isDatabase {
			objects = append(objects, s.Object)
		}
	}
	objects = append([]any{&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: ref.Name},
		StringData: map[string]string{ref.Key: o.DatabaseURL},
	}}, objects...)
	var all []byte
	for _, object := range objects {
		raw, err := kube.Manifest(object)
		if err != nil {
			return err
		}
		all = append(all, raw...)
	}
	o.Log.Info("kubectl apply", "folder", o.Samples, "image", o.OrderdImage)
	return o.Kube.Apply(ctx, all)
}

// describe adds the conditions to an error, so that one sees why.
func (o Options) describe(ctx context.Context, name string, cause error) error {
	oc := &v1alpha1.OrderCluster{}
	if err := o.Kube.Get(ctx, "ordercluster/"+name, oc); err != nil {
		return fmt.Errorf("OrderCluster %s is not Ready: %w", name, cause)
	}
	return fmt.Errorf("OrderCluster %s is not Ready: %s: %w", name, kube.Conditions(oc.Status.Conditions), cause)
}
