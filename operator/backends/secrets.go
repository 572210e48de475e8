package backends

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// maxRemembered is of how many Secrets and ConfigMaps what was read is kept.
const maxRemembered = 4096

// remembered are Secrets and ConfigMaps as they were read a moment ago, so that the promotions of an OrderCluster
// do not read its Secrets a thousand times a second. What is older than its use is dropped. Its zero value is empty.
type remembered struct {
	mu   sync.Mutex
	objs map[objectKey]reading
}

type objectKey struct {
	kind string
	types.NamespacedName
}

type reading struct {
	// at is when it was asked for.
	at time.Time
	// data by key; err if the API server says that there is no such object.
	data map[string]string
	err  error
}

func (m *remembered) get(key objectKey, now time.Time, use time.Duration) (reading, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.objs[key]
	return found, ok && now.Sub(found.at) < use
}

func (m *remembered) put(key objectKey, now time.Time, use time.Duration, r reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objs == nil {
		m.objs = map[objectKey]reading{}
	}
	for other, old := range m.objs {
		if now.Sub(old.at) >= use {
			delete(m.objs, other)
		}
	}
	if known, ok := m.objs[key]; ok && known.at.After(r.at) {
		// What was asked for later is there already.
		return
	}
	if len(m.objs) < maxRemembered {
		m.objs[key] = r
	}
}

type freshKey struct{}

// Fresh is ctx for calls that read Secrets as they are now, and not as they were a few seconds ago.
func Fresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// object reads a Secret or a ConfigMap, or has read it a moment ago.
func (r *Registry) object(ctx context.Context, namespace, name string, o client.Object) (map[string]string, error) {
	kind := "Secret"
	if _, ok := o.(*corev1.ConfigMap); ok {
		kind = "ConfigMap"
	}
	key := objectKey{kind, types.NamespacedName{Namespace: namespace, Name: name}}
	if fresh, _ := ctx.Value(freshKey{}).(bool); !fresh {
		if known, ok := r.read.get(key, time.Now(), r.limits.secrets); ok {
			return known.data, known.err
		}
	}
	found := reading{at: time.Now()}
	err := r.secrets.Get(ctx, key.NamespacedName, o)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading %s %s: %w", kind, name, err)
	}
	if found.err = err; err == nil {
		found.data = dataOf(o)
	}
	r.read.put(key, time.Now(), r.limits.secrets, found)
	return found.data, found.err
}

func dataOf(o client.Object) map[string]string {
	data := map[string]string{}
	switch o := o.(type) {
	case *corev1.Secret:
		for key, value := range o.Data {
			data[key] = string(value)
		}
	case *corev1.ConfigMap:
		for key, value := range o.Data {
			data[key] = value
		}
	}
	return data
}

func (r *Registry) secret(ctx context.Context, namespace string, ref v1alpha1.SecretKeyReference) (string, error) {
	data, err := r.object(ctx, namespace, ref.Name, &corev1.Secret{})
	if apierrors.IsNotFound(err) {
		return "", &Error{Reason: v1alpha1.ReasonSecretNotFound, Message: fmt.Sprintf("Secret %s does not exist", ref.Name)}
	}
	if err != nil {
		return "", err
	}
	value := trim([]byte(data[ref.Key]))
	if value == "" {
		return "", &Error{
			Reason:  v1alpha1.ReasonSecretKeyMissing,
			Message: fmt.Sprintf("Secret %s has no key %s, or it is empty", ref.Name, ref.Key),
		}
	}
	return value, nil
}
