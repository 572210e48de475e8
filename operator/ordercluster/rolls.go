package ordercluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/specs"
)

const (
	// turnInterval is how often an OrderCluster looks whether it is its turn.
	turnInterval = 5 * time.Second
	// turnLimit is how long an OrderCluster whose new pods do not become available keeps the others waiting.
	turnLimit = 15 * time.Minute
)

// turns lets one OrderCluster after the other replace its pods after the operator itself was upgraded: a mistake in it
// is then one shop's, and not everybody's in the same minute. It is lost with the process. Its zero value is nobody's.
type turns struct {
	mu     sync.Mutex
	holder types.NamespacedName
	since  time.Time
}

// take reports whether it is the OrderCluster's turn, which lasts until it is given back.
func (t *turns) take(cluster types.NamespacedName, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	free := t.holder == types.NamespacedName{} || now.Sub(t.since) > turnLimit
	if t.holder != cluster && !free {
		return false
	}
	if t.holder != cluster {
		t.holder, t.since = cluster, now
	}
	return true
}

// give ends the OrderCluster's turn, if it is its.
func (t *turns) give(cluster types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == cluster {
		t.holder = types.NamespacedName{}
	}
}

// hold is why a pool's pods are not replaced now.
type hold struct {
	reason, text string
	// pending: what the spec asks for has to wait too.
	pending bool
}

// held says what keeps the pods of a pool from being replaced now; nil if nothing does, or nothing would replace them.
func (r *Reconciler) held(s *scope, pool string, d *appsv1.Deployment) *hold {
	if d == nil || d.Annotations[specs.TemplateAnnotation] == specs.Template(s.cluster, pool, s.starts[pool]) {
		return nil
	}
	if pool == v1alpha1.PoolFlash && s.cluster.Spec.Rollout.DuringSale != v1alpha1.DuringSaleNow {
		switch {
		case !s.counted:
			text := "flash: its pods are not replaced while the operator does not know which sales there are"
			return &hold{v1alpha1.ReasonRollWaitsForSale, text, true}
		case s.needed > 0:
			text := "flash: its pods are replaced once no sale is live or about to be"
			if !s.nextNeed.IsZero() {
				text += ", not before " + s.nextNeed.UTC().Format(time.RFC3339)
			}
			return &hold{v1alpha1.ReasonRollWaitsForSale, text + " (rollout.duringSale: Now replaces them at once)", true}
		}
	}
	// Who changes an OrderCluster after an upgrade waits as well: its pods would be the new operator's too.
	upgraded := d.Annotations[specs.ByAnnotation] != s.starts[pool].By
	if upgraded && !r.turns.take(client.ObjectKeyFromObject(s.cluster), s.now) {
		s.within(turnInterval)
		return &hold{
			v1alpha1.ReasonRollWaitsForTurn,
			pool + ": its pods are replaced after those of another OrderCluster: the operator was upgraded",
			s.before.ObservedGeneration != s.cluster.Generation,
		}
	}
	return nil
}

// endTurn lets the next OrderCluster begin once this one has all its pods, but for those that wait for a sale.
func (r *Reconciler) endTurn(s *scope) {
	if len(s.unready) == 0 || s.cluster.IsPaused() || !s.cluster.DeletionTimestamp.IsZero() {
		r.turns.give(client.ObjectKeyFromObject(s.cluster))
	}
}

// waits says why pods are not replaced now, the pools in their order: of all, or of those alone that keep what the spec
// asks for waiting. The reason is the first one's; "": none.
func (s *scope) waits(pending bool) (reason, text string) {
	var texts []string
	for _, pool := range specs.Pools() {
		if h := s.holds[pool]; h != nil && (h.pending || !pending) {
			if reason == "" {
				reason = h.reason
			}
			texts = append(texts, h.text)
		}
	}
	return reason, strings.Join(texts, "; ")
}

// readMaterial reads the Secrets that the spec names, each once, and notes what they lack.
func (r *Reconciler) readMaterial(ctx context.Context, s *scope) (specs.Material, error) {
	m := specs.Material{Secrets: map[string]map[string][]byte{}}
	for _, ref := range specs.SecretRefs(s.cluster) {
		data, known := m.Secrets[ref.Name]
		if !known {
			var secret corev1.Secret
			err := r.Reader.Get(ctx, types.NamespacedName{Namespace: s.cluster.Namespace, Name: ref.Name}, &secret)
			if client.IgnoreNotFound(err) != nil {
				return m, fmt.Errorf("reading Secret %s: %w", ref.Name, err)
			}
			if err != nil {
				s.miss(ref.Name, "")
				continue
			}
			data = secret.Data
			m.Secrets[ref.Name] = data
		}
		if ref.Key != "" && len(data[ref.Key]) == 0 {
			s.miss(ref.Name, ref.Key)
		}
	}
	if t := s.cluster.Spec.Trust; t != nil && t.SecretRef != nil {
		m.Trust = string(m.Secrets[t.SecretRef.Name][t.SecretRef.Key])
	} else if t != nil {
		return m, r.readTrust(ctx, s, *t.ConfigMapRef, &m)
	}
	return m, nil
}

func (r *Reconciler) readTrust(
	ctx context.Context, s *scope, ref v1alpha1.ConfigMapKeyReference, m *specs.Material,
) error {
	var found corev1.ConfigMap
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: s.cluster.Namespace, Name: ref.Name}, &found)
	switch {
	case apierrors.IsNotFound(err):
		s.missing = append(s.missing, missingSecret{
			ref.Name, v1alpha1.ReasonConfigMapNotFound, "ConfigMap " + ref.Name + " does not exist",
		})
	case err != nil:
		return fmt.Errorf("reading ConfigMap %s: %w", ref.Name, err)
	case found.Data[ref.Key] == "":
		s.missing = append(s.missing, missingSecret{
			ref.Name, v1alpha1.ReasonConfigMapKeyMissing,
			"ConfigMap " + ref.Name + " has no key " + ref.Key + ", or it is empty",
		})
	}
	m.Trust = found.Data[ref.Key]
	// Nothing wakes the operator when it changes.
	s.within(healthyInterval)
	return nil
}

// removeConfigs deletes what a pool's earlier pods read and ran as, once there are none of them.
func (r *Reconciler) removeConfigs(ctx context.Context, s *scope) error {
	for _, pool := range specs.Pools() {
		d, err := r.deployment(ctx, s, pool)
		if err != nil {
			return err
		}
		if d == nil || s.holds[pool] != nil || !s.current(d, pool) || d.Status.Replicas != d.Status.UpdatedReplicas {
			continue
		}
		var list corev1.ConfigMapList
		if err := r.Client.List(ctx, &list, client.InNamespace(s.cluster.Namespace),
			client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
			return fmt.Errorf("listing the ConfigMaps of pool %s: %w", pool, err)
		}
		for i := range list.Items {
			old := &list.Items[i]
			if old.Name == s.starts[pool].ConfigMap || !metav1.IsControlledBy(old, s.cluster) {
				continue
			}
			if err := client.IgnoreNotFound(r.Client.Delete(ctx, old, client.Preconditions{UID: ptr.To(old.UID)})); err != nil {
				return &objectError{"deleting", "ConfigMap " + old.Name, err}
			}
			r.applied.drop(client.ObjectKeyFromObject(s.cluster), "ConfigMap", old.Name)
		}
		if err := r.removeServiceAccount(ctx, s, pool); err != nil {
			return err
		}
	}
	return nil
}

// removeServiceAccount deletes what a pool's earlier pods ran as if the spec names another one now.
func (r *Reconciler) removeServiceAccount(ctx context.Context, s *scope, pool string) error {
	key := types.NamespacedName{Namespace: s.cluster.Namespace, Name: specs.PoolName(s.cluster.Name, pool)}
	named := s.cluster.Pool(pool).Pod.ServiceAccount.Name
	if named == "" || named == key.Name {
		return nil
	}
	var old corev1.ServiceAccount
	if err := r.Client.Get(ctx, key, &old); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !metav1.IsControlledBy(&old, s.cluster) {
		return nil
	}
	if err := r.Client.Delete(ctx, &old, client.Preconditions{UID: ptr.To(old.UID)}); client.IgnoreNotFound(err) != nil {
		return &objectError{"deleting", "ServiceAccount " + key.Name, err}
	}
	r.applied.drop(client.ObjectKeyFromObject(s.cluster), "ServiceAccount", key.Name)
	return nil
}
