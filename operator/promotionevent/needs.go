package promotionevent

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/listing"
	"github.com/orderd-dev/orderd/orderd/sale/capacity"
)

// needs keep what the promotions of each OrderCluster need of its flash pool until one of them changes: a thousand live
// promotions do not list each other every two seconds. Its zero value keeps nothing.
type needs struct {
	mu sync.Mutex
	// watched: forget is called for every change, so that what is kept can be believed.
	watched bool
	// version counts the changes. A list that was begun before one is not kept.
	version map[types.NamespacedName]uint64
	kept    map[types.NamespacedName]capacity.Needs
}

func (n *needs) watch() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watched = true
	n.version, n.kept = map[types.NamespacedName]uint64{}, map[types.NamespacedName]capacity.Needs{}
}

func (n *needs) get(cluster types.NamespacedName) (found capacity.Needs, ok bool, version uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok = n.kept[cluster]
	return found, ok, n.version[cluster]
}

func (n *needs) put(cluster types.NamespacedName, found capacity.Needs, version uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watched && n.version[cluster] == version {
		n.kept[cluster] = found
	}
}

func (n *needs) forget(cluster types.NamespacedName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watched {
		n.version[cluster]++
		delete(n.kept, cluster)
	}
}

// needsOf the OrderCluster's promotions.
func (r *Reconciler) needsOf(ctx context.Context, cluster types.NamespacedName) (capacity.Needs, error) {
	found, ok, version := r.needs.get(cluster)
	if ok {
		return found, nil
	}
	promotions, err := listing.Promotions(ctx, r.Client, r.Indexed, cluster.Namespace, cluster.Name)
	if err != nil {
		return nil, err
	}
	found = capacity.NeedsOf(cluster.Namespace, cluster.Name, promotions)
	r.needs.put(cluster, found, version)
	return found, nil
}

// changed lets what changes a promotion's work pass, and on the way notes what changes the needs of its OrderCluster: a
// predicate is asked before the reconcile is, which so never sees what was kept from before.
func (r *Reconciler) changed() predicate.Predicate {
	forget := func(o client.Object) {
		p := o.(*v1alpha1.PromotionEvent)
		r.needs.forget(types.NamespacedName{Namespace: p.Namespace, Name: p.Spec.OrderClusterRef.Name})
	}
	settled := func(o client.Object) bool {
		return meta.IsStatusConditionTrue(o.(*v1alpha1.PromotionEvent).Status.Conditions, v1alpha1.ConditionSettled)
	}
	// A status alone wakes nobody, but one that is about another promotion may not stay.
	foreign := func(o client.Object) bool { return o.(*v1alpha1.PromotionEvent).HasForeignStatus() }
	work := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{},
		predicate.NewPredicateFuncs(foreign))
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool {
			forget(e.Object)
			return true
		},
		DeleteFunc: func(e event.DeleteEvent) bool {
			forget(e.Object)
			return true
		},
		UpdateFunc: func(e event.UpdateEvent) bool {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || settled(e.ObjectOld) != settled(e.ObjectNew) ||
				e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
				forget(e.ObjectOld)
				forget(e.ObjectNew)
			}
			return work.Update(e)
		},
	}
}

// clusterChanged passes what promotions go by in their OrderCluster: its spec, whether it is there for good, whether
// what it connects to answers, and its flash pods. Other pods come and go without waking a thousand promotions.
func clusterChanged() predicate.Predicate {
	type used struct {
		generation, desired, available int64
		deleted                        bool
		revision, database, messaging  string
	}
	of := func(o client.Object) used {
		c := o.(*v1alpha1.OrderCluster)
		u := used{generation: c.Generation, deleted: !c.DeletionTimestamp.IsZero(), revision: c.MigratedRevision()}
		flash := c.PoolStatusOf(v1alpha1.PoolFlash)
		if flash.Desired != nil {
			u.desired = int64(*flash.Desired)
		}
		if flash.Available != nil {
			u.available = int64(*flash.Available)
		}
		for condition, to := range map[string]*string{
			v1alpha1.ConditionDatabaseReady: &u.database, v1alpha1.ConditionMessagingReady: &u.messaging,
		} {
			if found := meta.FindStatusCondition(c.Status.Conditions, condition); found != nil {
				*to = string(found.Status)
			}
		}
		return u
	}
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) }}
}
