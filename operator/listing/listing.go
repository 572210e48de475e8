// Package listing finds the PromotionEvents of an OrderCluster.
package listing

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// clusterIndex finds PromotionEvents by the OrderCluster that they name.
const clusterIndex = "spec.orderClusterRef.name"

// Index makes the cache find PromotionEvents by their OrderCluster. It has to be called before the cache is started.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.PromotionEvent{}, clusterIndex, func(o client.Object) []string {
		return []string{o.(*v1alpha1.PromotionEvent).Spec.OrderClusterRef.Name}
	})
	if err != nil {
		return fmt.Errorf("indexing PromotionEvents by OrderCluster: %w", err)
	}
	return nil
}

// Promotions are those of the namespace that name the OrderCluster. With a cache that is indexed they are the cache's
// own, so nothing in them may be changed; without one they are all read, and those of others thrown away.
func Promotions(
	ctx context.Context, reader client.Reader, indexed bool, namespace, cluster string,
) ([]v1alpha1.PromotionEvent, error) {
	options := []client.ListOption{client.InNamespace(namespace)}
	if indexed {
		options = append(options, client.MatchingFields{clusterIndex: cluster}, client.UnsafeDisableDeepCopy)
	}
	var list v1alpha1.PromotionEventList
	if err := reader.List(ctx, &list, options...); err != nil {
		return nil, fmt.Errorf("listing the promotions of OrderCluster %s: %w", cluster, err)
	}
	others := func(p v1alpha1.PromotionEvent) bool { return p.Spec.OrderClusterRef.Name != cluster }
	return slices.DeleteFunc(list.Items, others), nil
}
