package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const managerLabel = "app.kubernetes.io/managed-by"

// kinds are all that a namespace can have; whatever the operator comes to make is found among them.
var kinds struct {
	mu   sync.Mutex
	list []schema.GroupVersionKind
}

// discoverKinds of objects in namespaces that can be listed and deleted.
func discoverKinds(config *rest.Config) error {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	lists, err := d.ServerPreferredNamespacedResources()
	if err != nil {
		return err
	}
	kinds.mu.Lock()
	defer kinds.mu.Unlock()
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			skipped := slices.Contains([]string{"Event", "Lease", "Endpoints", "EndpointSlice", "ControllerRevision"}, r.Kind)
			if !skipped && gv.Group != v1alpha1.GroupVersion.Group && !strings.Contains(r.Name, "/") &&
				slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "delete") {
				kinds.list = append(kinds.list, gv.WithKind(r.Kind))
			}
		}
	}
	return nil
}

// owned are the objects in a place that an operator made.
func owned(ctx context.Context, p *place) ([]unstructured.Unstructured, error) {
	kinds.mu.Lock()
	defer kinds.mu.Unlock()
	var out []unstructured.Unstructured
	for _, gvk := range kinds.list {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk)
		if err := p.kube.List(ctx, list, client.InNamespace(p.namespace)); err != nil {
			return nil, fmt.Errorf("listing %s: %w", gvk.Kind, err)
		}
		for _, o := range list.Items {
			owner := metav1.GetControllerOf(&o)
			if o.GetLabels()[managerLabel] == "orderd-operator" ||
				owner != nil && strings.HasPrefix(owner.APIVersion, v1alpha1.GroupVersion.Group+"/") {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// owners are the resources in a place that there are.
func owners(ctx context.Context, p *place) (map[types.UID]bool, error) {
	var clusters v1alpha1.OrderClusterList
	var promotions v1alpha1.PromotionEventList
	if err := p.kube.List(ctx, &clusters, client.InNamespace(p.namespace)); err != nil {
		return nil, err
	}
	if err := p.kube.List(ctx, &promotions, client.InNamespace(p.namespace)); err != nil {
		return nil, err
	}
	out := map[types.UID]bool{}
	for i := range clusters.Items {
		out[clusters.Items[i].UID] = true
	}
	for i := range promotions.Items {
		out[promotions.Items[i].UID] = true
	}
	return out, nil
}

// hashed are names and values that are made of what differs from place to place.
var hashed = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(-(?:standard|flash|worker)-)[0-9a-f]{10}`), "${1}CONFIG"},
	{regexp.MustCompile(`("orderd\.dev/(?:config|template)-hash": ?)"[0-9a-f]+"`), `${1}"HASH"`},
	{regexp.MustCompile(`("order-id-key": ?)"[^"]+"`), `${1}"KEY"`},
}

// neutral replaces in a text what differs from place to place.
func neutral(p *place, text string) string {
	for _, one := range hashed {
		text = one.what.ReplaceAllString(text, one.by)
	}
	replace := []string{p.namespace, "NAMESPACE"}
	if p.messaging != nil {
		replace = append(replace, p.messaging.address, "NATS")
	}
	return strings.NewReplacer(replace...).Replace(text)
}

// normal is an object as the spec alone decides it: without what the API server adds, and what differs from place to
// place. Nil for one whose being there depends on what was before: the migrations.
func normal(p *place, o unstructured.Unstructured, c *v1alpha1.OrderCluster) (map[string]any, error) {
	if _, ok := o.GetLabels()["orderd.dev/revision"]; ok {
		return nil, nil
	}
	out := map[string]any{"metadata": map[string]any{
		"name": o.GetName(), "labels": o.GetLabels(), "annotations": annotations(o.GetAnnotations()),
		"owners": len(o.GetOwnerReferences()), "deleted": o.GetDeletionTimestamp() != nil,
	}}
	for key, value := range o.Object {
		switch key {
		case "metadata", "status":
		default:
			out[key] = value
		}
	}
	spec, _ := out["spec"].(map[string]any)
	switch o.GetKind() {
	case "Service":
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	case "Deployment":
		if c != nil && c.ScaledBy(o.GetLabels()["app.kubernetes.io/component"]) != "" {
			delete(spec, "replicas")
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var again map[string]any
	err = json.Unmarshal([]byte(neutral(p, string(raw))), &again)
	return again, err
}

func annotations(all map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range all {
		if !strings.HasPrefix(key, "deployment.kubernetes.io/") && !strings.HasPrefix(key, "deprecated.") {
			out[key] = value
		}
	}
	return out
}
