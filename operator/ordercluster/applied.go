package ordercluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// applied knows what was applied last, and how the object was after it, so that an apply that would change nothing is
// not sent. It is lost with the process: the next one applies everything once. Its zero value is empty.
type applied struct {
	mu sync.Mutex
	of map[types.NamespacedName]map[string]appliedObject
}

type appliedObject struct{ hash, stamp string }

// has reports whether this was applied, and the live object has not changed since.
func (a *applied) has(
	cluster types.NamespacedName, u *unstructured.Unstructured, hash string, live metav1.Object,
) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[cluster][u.GetKind()+"/"+u.GetName()] == appliedObject{hash, stamp(live)}
}

// put notes that what has the hash was applied, and that the object is answer now.
func (a *applied) put(cluster types.NamespacedName, answer *unstructured.Unstructured, hash string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = map[types.NamespacedName]map[string]appliedObject{}
	}
	if a.of[cluster] == nil {
		a.of[cluster] = map[string]appliedObject{}
	}
	a.of[cluster][answer.GetKind()+"/"+answer.GetName()] = appliedObject{hash, stamp(answer)}
}

// drop forgets one object, and forget all of an OrderCluster.
func (a *applied) drop(cluster types.NamespacedName, kind, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of[cluster], kind+"/"+name)
}

func (a *applied) forget(cluster types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of, cluster)
}

// stamp changes with everything about an object that an apply may set. The generation stands for the spec where there
// is one, so that a Deployment's status may change as often as it likes; the resource version stands for all elsewhere.
func stamp(o metav1.Object) string {
	if o.GetGeneration() == 0 {
		return string(o.GetUID()) + "/" + o.GetResourceVersion()
	}
	// Maps are written with sorted keys, so the same is the same.
	raw, err := json.Marshal([]any{o.GetLabels(), o.GetAnnotations(), o.GetOwnerReferences(), o.GetFinalizers()})
	if err != nil {
		return string(o.GetUID()) + "/" + o.GetResourceVersion()
	}
	return fmt.Sprintf("%s/%d/%x", o.GetUID(), o.GetGeneration(), sha256.Sum256(raw))
}

// hashOf an object as it is applied.
func hashOf(u *unstructured.Unstructured) string {
	raw, err := json.Marshal(u.Object)
	if err != nil {
		// Unstructured content is JSON, so this cannot be; nothing has this hash.
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))
}
