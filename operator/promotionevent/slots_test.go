package promotionevent

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/orderd-dev/orderd/operator/pace"
)

func named(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

func TestAnOrderClusterHasSoManyWorkersAndNoMore(t *testing.T) {
	queue := workqueue.NewTypedRateLimitingQueue(pace.RateLimiter())
	defer queue.ShutDown()
	var l slots
	if !l.take(named("any"), reconcile.Request{}) {
		t.Error("without a queue somebody has to wait")
	}
	if err := l.start(context.Background(), queue); err != nil {
		t.Fatal(err)
	}
	hung, healthy := named("hung"), named("healthy")
	request := func(i int) reconcile.Request { return reconcile.Request{NamespacedName: named(fmt.Sprint(i))} }
	for i := range workersPerCluster {
		if !l.take(hung, request(i)) {
			t.Fatalf("the worker %d was refused", i)
		}
	}
	for range 2 {
		for i := range 3 {
			if l.take(hung, request(100+i)) {
				t.Fatal("it has more workers than it may have")
			}
		}
	}
	if queue.Len() != 0 {
		t.Fatalf("%d are in the queue while there is no worker for them", queue.Len())
	}
	if !l.take(healthy, request(200)) {
		t.Error("another OrderCluster has to wait")
	}
	l.give(healthy)
	if queue.Len() != 0 {
		t.Error("what another gives back is none of its business")
	}
	l.give(hung)
	if got, _ := queue.Get(); queue.Len() != 0 || got != request(100) {
		t.Fatalf("%v comes first, and %d after it", got, queue.Len())
	}
	// It is gone, and takes no worker: the next one must not be forgotten.
	l.unused()
	if got, _ := queue.Get(); got != request(101) {
		t.Fatalf("%v comes next", got)
	}
	if !l.take(hung, request(101)) {
		t.Fatal("it was let come, and there is no worker for it")
	}
	for range workersPerCluster {
		l.give(hung)
	}
	if got, _ := queue.Get(); got != request(102) || queue.Len() != 0 || len(l.waiting) != 0 || len(l.taken) != 0 {
		t.Errorf("%v is the last; %d are left, %v wait, %v work", got, queue.Len(), l.waiting, l.taken)
	}
}
