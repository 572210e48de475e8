package ordercluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sale/capacity"
)

// databaseTimeout bounds a question to a database that has just answered.
const databaseTimeout = 5 * time.Second

// readPromotions lists those that use the OrderCluster. While that fails the flash pool keeps its size.
func (r *Reconciler) readPromotions(ctx context.Context, s *scope) error {
	var err error
	s.promotions, err = r.promotions(ctx, s.cluster)
	s.counted = err == nil
	return err
}

// readConfig reads what the pods mount, and renders what a migration is configured with.
func (r *Reconciler) readConfig(ctx context.Context, s *scope) error {
	material, err := r.readMaterial(ctx, s)
	if err != nil {
		return err
	}
	if s.config, err = specs.Settings(s.cluster).OfMigration().Overrides(); err != nil {
		return err
	}
	s.material = &material
	ref := s.cluster.Spec.Database.URLSecretRef
	identity, err := database.Identity(strings.TrimSpace(string(material.Secrets[ref.Name][ref.Key])))
	s.revision = specs.Revision(s.cluster, identity)
	if migrated := s.cluster.Status.Migration; err != nil && migrated.Image == s.cluster.Spec.Image {
		// Which database it is cannot be known now, and DatabaseReady says why.
		s.revision = migrated.Revision
	}
	return nil
}

func (r *Reconciler) checkDatabase(ctx context.Context, s *scope) error {
	err := r.Backends.CheckDatabase(ctx, s.cluster)
	s.databaseReady = err == nil
	return s.connected(v1alpha1.ConditionDatabaseReady, "the database answers", err)
}

func (r *Reconciler) checkMessaging(ctx context.Context, s *scope) error {
	err := r.Backends.CheckMessaging(ctx, s.cluster)
	var problem *backends.Error
	if errors.As(err, &problem) && problem.Reason == v1alpha1.ReasonAccountInUse {
		// Pods that are started there would take the other's orders for their own.
		s.missing = append(s.missing, missingSecret{"", problem.Reason, problem.Message})
	}
	if err == nil && !s.cluster.IsPaused() {
		js, connectErr := r.Backends.JetStream(ctx, s.cluster)
		if err = connectErr; err == nil {
			s.handset, err = sale.EnsureAccount(ctx, js, s.cluster.MessagingReplicas())
			if err != nil {
				err = &backends.Error{Reason: v1alpha1.ReasonJetStreamUnavailable, Message: err.Error()}
			}
		}
	}
	return s.connected(v1alpha1.ConditionMessagingReady, "NATS and JetStream answer", err)
}

// connected sets the condition of a backend from the outcome of its check.
func (s *scope) connected(condition, message string, err error) error {
	var problem *backends.Error
	switch {
	case err == nil:
		s.within(healthyInterval)
		if was := s.report.Get(condition); s.report.True(condition, v1alpha1.ReasonConnected, "%s", message) && was != nil {
			s.report.Normal(condition, "Connect", "%s again", message)
		}
	case errors.As(err, &problem):
		s.within(unhealthyInterval)
		before := s.report.Get(condition)
		repeated := before != nil && before.Reason == problem.Reason
		s.report.False(condition, problem.Reason, "%s", problem.Message)
		if !repeated {
			s.report.Warning(problem.Reason, "Connect", "%s", problem.Message)
		}
	default:
		return err
	}
	return nil
}

// applyKeys copies the order id key from the database, where the migration made it, to the pools'
// Secret. While the database is away the Secret is good as it is.
func (r *Reconciler) applyKeys(ctx context.Context, s *scope) error {
	name := specs.KeysName(s.cluster.Name)
	var secret corev1.Secret
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: s.cluster.Namespace, Name: name}, &secret)
	if client.IgnoreNotFound(err) != nil {
		return &objectError{"reading", "Secret " + name, err}
	}
	if err == nil && !metav1.IsControlledBy(&secret, s.cluster) {
		return &objectError{"reading", "Secret " + name, errNameTaken}
	}
	s.orderIDKey = string(secret.Data[specs.OrderIDKey])
	if !s.migrated || !s.databaseReady {
		return nil
	}
	pool, err := r.Backends.Database(ctx, s.cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	key, err := database.OrderIDKey(ctx, pool)
	if err != nil {
		return fmt.Errorf("reading the order id key from the database: %w", err)
	}
	asItIs := key == s.orderIDKey && labelled(&secret, specs.InstanceLabels(s.cluster.Name))
	if asItIs || s.cluster.IsPaused() {
		return nil
	}
	s.orderIDKey = key
	return r.apply(ctx, s, specs.Keys(s.cluster, key))
}

// applyPools rolls out the pools once the database is migrated for them and nothing keeps their pods from starting.
// Before that only their sizes are kept up, on the image they have.
func (r *Reconciler) applyPools(ctx context.Context, s *scope) error {
	s.size()
	r.leaveScale(ctx, s)
	if err := s.prepareStarts(r.Version); err != nil {
		return err
	}
	rollable := s.migrated && len(s.starts) > 0 && len(s.gate()) == 0
	if s.cluster.IsPaused() {
		return r.compare(ctx, s, rollable)
	}
	var failed refusals
	for _, pool := range specs.Pools() {
		if err := r.applyPool(ctx, s, pool, rollable); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return r.removeConfigs(ctx, s)
}

// size says how many pods each pool should have.
func (s *scope) size() {
	for _, pool := range specs.Pools() {
		s.desired[pool] = s.cluster.Pool(pool).MinReplicas()
	}
	if s.counted {
		s.needed, s.nextNeed = capacity.Needed(s.cluster, s.promotions, s.saleNow)
		if !s.nextNeed.IsZero() {
			s.within(s.nextNeed.Sub(s.saleNow))
		}
		s.desired[v1alpha1.PoolFlash] = capacity.Desired(s.cluster, s.needed)
	}
	if s.counted && s.clocked {
		return
	}
	// While it is not known which sales there are, or what time it is for them, no flash pod is taken away.
	if known := s.before.Pool(v1alpha1.PoolFlash).Desired; known != nil {
		s.desired[v1alpha1.PoolFlash] = min(max(s.desired[v1alpha1.PoolFlash], *known),
			s.cluster.MaxFlashReplicas())
	}
}

// prepareStarts computes what each pool's pods should be started with, if all of it is known.
func (s *scope) prepareStarts(operator string) error {
	if s.material == nil || s.orderIDKey == "" {
		return nil
	}
	for _, pool := range specs.Pools() {
		start, err := specs.NewStart(s.cluster, pool, *s.material, s.orderIDKey, operator)
		if err != nil {
			return err
		}
		s.starts[pool] = start
	}
	return nil
}

// applyPool brings one pool to what it should be, or no more than its size if its pods must not be replaced now. A pool
// that is refused keeps no other back.
func (r *Reconciler) applyPool(ctx context.Context, s *scope, pool string, rollable bool) error {
	d, err := r.deployment(ctx, s, pool)
	if err != nil {
		return err
	}
	r.leavePool(ctx, s, pool, d)
	if isUnscaled(d) {
		if err := r.scale(ctx, s.desired[pool], d); err != nil {
			return err
		}
	}
	if rollable {
		if s.holds[pool] = r.held(s, pool, d); s.holds[pool] == nil {
			objects := specs.Pool(s.cluster, pool, s.starts[pool])
			if d == nil {
				specs.MarkUnscaled(objects)
			}
			if err := r.apply(ctx, s, objects...); err != nil {
				return err
			}
			if err := r.removeAutoscaler(ctx, s, pool); err != nil {
				return err
			}
			if d == nil {
				// It has one pod by Kubernetes' default, whoever scales it from now on. Should the operator end
				// here, the mark says so to the next one.
				return r.scale(ctx, s.desired[pool], &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
					Namespace: s.cluster.Namespace, Name: specs.PoolName(s.cluster.Name, pool),
				}})
			}
		}
	}
	if d == nil || d.Spec.Replicas != nil && *d.Spec.Replicas == s.desired[pool] {
		return nil
	}
	return r.scale(ctx, s.desired[pool], d)
}

// isUnscaled reports whether a Deployment was made and has not been given its number of pods.
func isUnscaled(d *appsv1.Deployment) bool {
	return d != nil && d.Annotations[specs.UnscaledAnnotation] != ""
}

// scale a Deployment. That is no part of what is applied, so that it can be left to somebody else.
func (r *Reconciler) scale(ctx context.Context, replicas int32, d *appsv1.Deployment) error {
	metadata := map[string]any{}
	if isUnscaled(d) || d.UID == "" {
		metadata["annotations"] = map[string]any{specs.UnscaledAnnotation: nil}
	}
	if d.UID != "" {
		// With the UID in it the patch is refused for a Deployment of the same name that was made since.
		metadata["uid"] = d.UID
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata, "spec": map[string]any{"replicas": replicas}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := r.Client.Patch(ctx, d, client.RawPatch(types.MergePatchType, patch), report.FieldOwner); err != nil {
		return &objectError{"scaling", "Deployment " + d.Name, otherUID(err)}
	}
	return nil
}

// compare finds out, while spec.paused holds everything still, what would be changed: the API server is asked what an
// apply would make of each Deployment.
func (r *Reconciler) compare(ctx context.Context, s *scope, rollable bool) error {
	var failed refusals
	for _, pool := range specs.Pools() {
		d, err := r.deployment(ctx, s, pool)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if d == nil || !rollable || ptr.Deref(d.Spec.Replicas, 1) != s.desired[pool] {
			s.differs = append(s.differs, pool)
			continue
		}
		for _, o := range specs.Pool(s.cluster, pool, s.starts[pool]) {
			changes, err := r.wouldChange(ctx, d, o)
			if err != nil {
				failed = append(failed, &objectError{"trying", "Deployment " + d.Name, otherUID(err)})
			}
			if changes || err != nil {
				s.differs = append(s.differs, pool)
			}
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// wouldChange reports whether applying o would change the Deployment. Other objects of a pool stop no pod.
func (r *Reconciler) wouldChange(
	ctx context.Context, d *appsv1.Deployment, o runtime.ApplyConfiguration,
) (bool, error) {
	u, err := unstructuredOf(o)
	if err != nil || u.GetKind() != "Deployment" {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	u.SetUID(d.UID)
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), report.FieldOwner, client.ForceOwnership,
		client.DryRunAll)
	return err == nil && stamp(u) != stamp(d), err
}

// deployment of a pool, as the cache has it; nil if there is none that is the OrderCluster's. One that seems not to
// have been scaled yet is looked at itself: it may have been since, by whoever does, and must not be scaled back.
func (r *Reconciler) deployment(ctx context.Context, s *scope, pool string) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	key := types.NamespacedName{Namespace: s.cluster.Namespace, Name: specs.PoolName(s.cluster.Name, pool)}
	err := r.Client.Get(ctx, key, d)
	if err == nil && isUnscaled(d) {
		err = r.Reader.Get(ctx, key, d)
	}
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, &objectError{"reading", "Deployment " + key.Name, err}
	}
	if !metav1.IsControlledBy(d, s.cluster) {
		return nil, nil
	}
	return d, nil
}
