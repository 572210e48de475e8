// Package platform installs what a sale needs on a cluster, as the README has a user do it: NATS and
// the database for evaluation, the chart, the OrderCluster.
package platform

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/target"
)

// readyWithin is how long the OrderCluster may take, image pulls on a real cluster included.
const readyWithin = 8 * time.Minute

const (
	// systemNamespace is where the operator runs.
	systemNamespace = "orderd-system"
	// Release is its Helm release.
	Release = "orderd"
)

// Platform is what runs once Up has returned.
type Platform struct {
	// Kube is the namespace of the OrderCluster; System the operator's.
	Kube, System kube.Kube
	Cluster      *v1alpha1.OrderCluster
	// Promotion is the sample PromotionEvent, not applied yet.
	Promotion *unstructured.Unstructured
}

// Up installs or upgrades everything and returns once the OrderCluster is Ready.
func Up(ctx context.Context, t target.Target, log *slog.Logger) (*Platform, error) {
	samples, err := kube.ReadObjects(t.Samples)
	if err != nil {
		return nil, err
	}
	cluster, err := kube.ByKind(samples, "OrderCluster")
	if err != nil {
		return nil, err
	}
	p := &Platform{
		Kube: t.Kube(cluster.GetNamespace()), System: t.Kube(systemNamespace), Cluster: &v1alpha1.OrderCluster{},
	}
	if p.Promotion, err = kube.ByKind(samples, "PromotionEvent"); err != nil {
		return nil, err
	}
	if err := applyEval(ctx, t, log); err != nil {
		return nil, err
	}
	if err := p.installChart(ctx, t, log); err != nil {
		return nil, err
	}
	if err := p.applySamples(ctx, t, samples, cluster, log); err != nil {
		return nil, err
	}
	name := "ordercluster/" + cluster.GetName()
	log.Info("waiting for the OrderCluster to be Ready", "name", cluster.GetName())
	werr := p.Kube.Wait(ctx, name, "condition=Ready", readyWithin)
	if err := p.Kube.Get(ctx, name, p.Cluster); err != nil {
		return nil, err
	}
	if werr != nil {
		return nil, fmt.Errorf("OrderCluster %s is not Ready: %s: %w", cluster.GetName(),
			kube.Conditions(p.Cluster.Status.Conditions), werr)
	}
	return p, nil
}

func (p *Platform) installChart(ctx context.Context, t target.Target, log *slog.Logger) error {
	log.Info("helm upgrade --install", "chart", t.Chart, "namespace", systemNamespace)
	_, err := p.System.HelmRun(ctx, "upgrade", "--install", Release, t.Chart, "--create-namespace",
		"--set", "image="+t.Images.Operator, "--wait", "--timeout", "5m")
	return err
}

// addPayments puts payment providers beside the sample's.
func addPayments(cluster *unstructured.Unstructured, have, more []v1alpha1.PaymentSpec) error {
	list := make([]any, 0, len(have)+len(more))
	for _, p := range append(have, more...) {
		one, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&p)
		if err != nil {
			return fmt.Errorf("adding payment provider %s: %w", p.Provider, err)
		}
		list = append(list, one)
	}
	return unstructured.SetNestedSlice(cluster.Object, list, "spec", "payments")
}

// setImage of a Deployment's containers.
func setImage(deployment *unstructured.Unstructured, image string) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, found, err := unstructured.NestedSlice(deployment.Object, path...)
	if err != nil {
		return fmt.Errorf("reading deployment %s: %w", deployment.GetName(), err)
	}
	if !found {
		return fmt.Errorf("deployment %s has no containers", deployment.GetName())
	}
	for _, c := range containers {
		c.(map[string]any)["image"] = image
	}
	return unstructured.SetNestedSlice(deployment.Object, containers, path...)
}

// applySamples applies everything but the promotions, with the images and the database's URL of here.
func (p *Platform) applySamples(ctx context.Context, t target.Target, samples []*unstructured.Unstructured,
	cluster *unstructured.Unstructured, log *slog.Logger) error {
	if err := unstructured.SetNestedField(cluster.Object, t.Images.Orderd, "spec", "image"); err != nil {
		return fmt.Errorf("setting the OrderCluster's image: %w", err)
	}
	outside, err := kube.ByKind(samples, "Deployment")
	if err != nil {
		return err
	}
	if err := setImage(outside, t.Images.Demo); err != nil {
		return err
	}
	typed := &v1alpha1.OrderCluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(cluster.Object, typed); err != nil {
		return fmt.Errorf("reading the OrderCluster: %w", err)
	}
	url, err := t.DatabaseURL()
	if err != nil {
		return err
	}
	ref := typed.Spec.Database.URLSecretRef
	database := secret(cluster.GetNamespace(), ref.Name, map[string][]byte{ref.Key: []byte(url)})
	certificates, err := t.Certificate(cluster.GetNamespace() + ".yaml")
	if err != nil {
		return err
	}
	simulated, payments, err := providers(cluster.GetNamespace(), t.ProviderKeysFile)
	if err != nil {
		return err
	}
	if err := addPayments(cluster, typed.Spec.Payments, payments); err != nil {
		return err
	}
	var all []byte
	add := func(object any) error {
		raw, err := kube.Manifest(object)
		all = append(all, raw...)
		return err
	}
	for _, s := range samples {
		if s.GetKind() == "PromotionEvent" || s.GetKind() == "Secret" && s.GetName() == ref.Name {
			continue
		}
		if s == cluster {
			// The Secrets go before the one who wants them, and after their namespace.
			all = append(all, certificates...)
			for _, one := range append(simulated, database) {
				if err := add(one); err != nil {
					return err
				}
			}
		}
		if err := add(s.Object); err != nil {
			return err
		}
	}
	log.Info("kubectl apply", "folder", t.Samples, "image", t.Images.Orderd)
	return t.Kube("").Apply(ctx, all)
}
