package ordercluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
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

// readConfig renders the configuration and reads the versions of the Secrets it needs.
func (r *Reconciler) readConfig(ctx context.Context, s *scope) error {
	var err error
	if s.config, err = specs.Config(s.cluster); err != nil {
		return err
	}
	if s.promotions, err = r.promotions(ctx, s.cluster); err != nil {
		return err
	}
	databaseVersion := ""
	for i, ref := range specs.SecretRefs(s.cluster) {
		var secret corev1.Secret
		err := r.Reader.Get(ctx, types.NamespacedName{Namespace: s.cluster.Namespace, Name: ref.Name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			s.missingSecrets = append(s.missingSecrets, fmt.Sprintf("Secret %s does not exist", ref.Name))
		case err != nil:
			return fmt.Errorf("reading Secret %s: %w", ref.Name, err)
		case ref.Key != "" && len(secret.Data[ref.Key]) == 0:
			s.missingSecrets = append(s.missingSecrets, fmt.Sprintf("Secret %s has no key %s", ref.Name, ref.Key))
		}
		// The version and not the value: nothing of a secret gets into names or annotations.
		version := string(secret.UID) + "/" + secret.ResourceVersion
		s.secretVersions = append(s.secretVersions, version)
		if i == 0 {
			databaseVersion = version
		}
	}
	s.revision = specs.Revision(s.cluster, s.config, databaseVersion)
	return nil
}

func (r *Reconciler) checkDatabase(ctx context.Context, s *scope) error {
	err := r.Backends.CheckDatabase(ctx, s.cluster)
	s.databaseReady = err == nil
	return s.connected(v1alpha1.ConditionDatabaseReady, "the database answers", err)
}

func (r *Reconciler) checkMessaging(ctx context.Context, s *scope) error {
	err := r.Backends.CheckMessaging(ctx, s.cluster)
	if err == nil {
		js, connectErr := r.Backends.JetStream(ctx, s.cluster)
		if err = connectErr; err == nil {
			err = sale.EnsureBuckets(ctx, js, s.cluster.MessagingReplicas())
			if err != nil {
				err = &backends.Error{Reason: v1alpha1.ReasonJetStreamUnavailable, Message: err.Error()}
			}
		}
	}
	s.messagingReady = err == nil
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
		return fmt.Errorf("reading Secret %s: %w", name, err)
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
		return err
	}
	if key == s.orderIDKey {
		return nil
	}
	s.orderIDKey = key
	return r.apply(ctx, specs.Keys(s.cluster, key))
}

// applyPools rolls out the pools once the database is migrated for them. Before that only their sizes
// are kept up, on the image they have.
func (r *Reconciler) applyPools(ctx context.Context, s *scope) error {
	needed, next := capacity.Needed(s.cluster, s.promotions, s.now)
	if !next.IsZero() {
		s.within(next.Sub(s.now))
	}
	for _, pool := range specs.Pools() {
		s.desired[pool] = s.cluster.Pool(pool).MinReplicas()
	}
	s.desired[v1alpha1.PoolFlash], _ = capacity.Desired(s.cluster, needed)
	s.configHash = specs.ConfigHash(s.config, s.orderIDKey, s.secretVersions)
	if !s.migrated || s.orderIDKey == "" {
		return r.scalePools(ctx, s)
	}
	objects := []runtime.ApplyConfiguration{specs.ConfigMap(s.cluster, s.config)}
	for _, pool := range specs.Pools() {
		objects = append(objects, specs.Pool(s.cluster, pool, s.configHash, s.desired[pool])...)
	}
	return r.apply(ctx, objects...)
}

func (r *Reconciler) scalePools(ctx context.Context, s *scope) error {
	for _, pool := range specs.Pools() {
		d, err := r.deployment(ctx, s, pool)
		if err != nil || d == nil {
			return err
		}
		if d.Spec.Replicas != nil && *d.Spec.Replicas == s.desired[pool] {
			continue
		}
		// With the UID in it the patch is refused for a Deployment of the same name
		// that was made since.
		patch := `{"metadata":{"uid":"` + string(d.UID) + `"},"spec":{"replicas":` + strconv.Itoa(int(s.desired[pool])) + `}}`
		if err := r.Client.Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(patch)),
			report.FieldOwner); err != nil {
			return fmt.Errorf("scaling Deployment %s: %w", d.Name, err)
		}
	}
	return nil
}

// deployment of a pool, as the cache has it; nil if there is none.
func (r *Reconciler) deployment(ctx context.Context, s *scope, pool string) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	key := types.NamespacedName{Namespace: s.cluster.Namespace, Name: specs.PoolName(s.cluster.Name, pool)}
	if err := r.Client.Get(ctx, key, d); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading Deployment %s: %w", key.Name, err)
	}
	return d, nil
}

func (r *Reconciler) apply(ctx context.Context, objects ...runtime.ApplyConfiguration) error {
	for _, o := range objects {
		if err := r.Client.Apply(ctx, o, report.FieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("applying %T: %w", o, err)
		}
	}
	return nil
}
