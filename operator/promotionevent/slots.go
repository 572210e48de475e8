package promotionevent

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// workers is how many promotions are reconciled at once.
	workers = 16
	// workersPerCluster is how many of one OrderCluster are: as many as it has connections to its database. One whose
	// database or NATS hangs leaves the others theirs.
	workersPerCluster = 4
)

// slots let only so many promotions of one OrderCluster be reconciled at once. Those that come too much wait for their
// turn outside of the workers. Its zero value lets all come.
type slots struct {
	mu sync.Mutex
	// queue takes back those who waited; nil: nobody has to.
	queue workqueue.TypedInterface[reconcile.Request]
	taken map[types.NamespacedName]int
	// waiting are in the order in which they came, each once.
	waiting map[types.NamespacedName][]reconcile.Request
}

// start gives the slots the controller's queue. It is the controller's source: it watches nothing.
func (l *slots) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.taken = queue, map[types.NamespacedName]int{}
	l.waiting = map[types.NamespacedName][]reconcile.Request{}
	return nil
}

// take a slot of the OrderCluster, which has to be given back. False: the request is in the queue again once there is
// one, and is not to be reconciled now.
func (l *slots) take(cluster types.NamespacedName, req reconcile.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == nil {
		return true
	}
	if l.taken[cluster] < workersPerCluster {
		l.taken[cluster]++
		return true
	}
	for _, other := range l.waiting[cluster] {
		if other == req {
			return false
		}
	}
	l.waiting[cluster] = append(l.waiting[cluster], req)
	return false
}

// give a slot back, and let those come that wait for it.
func (l *slots) give(cluster types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == nil {
		return
	}
	if l.taken[cluster]--; l.taken[cluster] <= 0 {
		delete(l.taken, cluster)
	}
	l.wake(cluster)
}

// unused says that a request was not reconciled, and nobody knows of which OrderCluster it was: it may have been one
// that was let come from among those who wait.
func (l *slots) unused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for cluster := range l.waiting {
		l.wake(cluster)
	}
}

// wake as many as there are slots, those who wait longest.
func (l *slots) wake(cluster types.NamespacedName) {
	list := l.waiting[cluster]
	n := min(len(list), workersPerCluster-l.taken[cluster])
	for _, req := range list[:n] {
		l.queue.Add(req)
	}
	if l.waiting[cluster] = list[n:]; len(list) == n {
		delete(l.waiting, cluster)
	}
}
