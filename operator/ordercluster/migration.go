package ordercluster

import (
	"context"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/specs"
)

const (
	// A failed migration is attempted again after retryDelay, doubled each time up to maxRetryDelay.
	retryDelay    = 10 * time.Second
	maxRetryDelay = 5 * time.Minute
)

// migrate runs the migration Job for the image and configuration of the spec until one attempt has
// succeeded.
func (r *Reconciler) migrate(ctx context.Context, s *scope) error {
	if s.cluster.Status.Migration.Revision == s.revision {
		s.migrated = true
		s.report.True(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrated, "the database is migrated for %s",
			s.cluster.Spec.Image)
		return nil
	}
	if !s.databaseReady {
		s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonWaitingForDatabase,
			"the migration starts once the database answers")
		return nil
	}
	var jobs batchv1.JobList
	if err := r.Client.List(ctx, &jobs, client.InNamespace(s.cluster.Namespace),
		client.MatchingLabels(specs.MigrationLabels(s.cluster.Name))); err != nil {
		return fmt.Errorf("listing migration Jobs: %w", err)
	}
	job, attempt := latestAttempt(jobs.Items, s.revision)
	if job == nil {
		s.report.Normal("Migrating", "Migrate", "migrating the database for %s", s.cluster.Spec.Image)
		return r.startMigration(ctx, s, 1)
	}
	if completed := jobCondition(job, batchv1.JobComplete); completed != nil {
		s.migrated = true
		s.cluster.Status.Migration = v1alpha1.MigrationStatus{
			Revision: s.revision, Image: s.cluster.Spec.Image, CompletionTime: completed.LastTransitionTime,
		}
		s.report.True(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrated, "the database is migrated for %s",
			s.cluster.Spec.Image)
		s.report.Normal("Migrated", "Migrate", "the database is migrated for %s", s.cluster.Spec.Image)
		return r.removeOldMigrations(ctx, s, jobs.Items)
	}
	failed := jobCondition(job, batchv1.JobFailed)
	if failed == nil {
		// Applied again in case the operator died between the ConfigMap and the Job, or
		// somebody removed one.
		return r.startMigration(ctx, s, attempt)
	}
	wait := failed.LastTransitionTime.Add(backoff(attempt)).Sub(s.now)
	if wait <= 0 {
		return r.startMigration(ctx, s, attempt+1)
	}
	s.within(wait)
	before := s.report.Get(v1alpha1.ConditionMigrated)
	repeated := before != nil && before.Reason == v1alpha1.ReasonMigrationFailed
	s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrationFailed,
		"attempt %d, Job %s, failed: %s (see its logs); another attempt follows", attempt, job.Name, failed.Message)
	if !repeated {
		s.report.Warning("MigrationFailed", "Migrate", "Job %s failed: %s", job.Name, failed.Message)
	}
	return nil
}

func (r *Reconciler) startMigration(ctx context.Context, s *scope, attempt int) error {
	name := specs.MigrationName(s.cluster.Name, s.revision, attempt)
	s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrationRunning, "Job %s is running", name)
	return r.apply(ctx, specs.Migration(s.cluster, s.config, s.revision, attempt)...)
}

// removeOldMigrations deletes the Jobs of other revisions, and what belongs to them.
func (r *Reconciler) removeOldMigrations(ctx context.Context, s *scope, jobs []batchv1.Job) error {
	for i := range jobs {
		job := &jobs[i]
		if job.Labels[specs.RevisionLabel] == s.revision {
			continue
		}
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: job.Name}}
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, configMap)); err != nil {
			return fmt.Errorf("deleting ConfigMap %s: %w", job.Name, err)
		}
		err := r.Client.Delete(ctx, job, client.Preconditions{UID: ptr.To(job.UID)},
			client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting Job %s: %w", job.Name, err)
		}
	}
	return nil
}

// latestAttempt at the revision; nil if there is none.
func latestAttempt(jobs []batchv1.Job, revision string) (*batchv1.Job, int) {
	var latest *batchv1.Job
	highest := 0
	for i := range jobs {
		job := &jobs[i]
		if job.Labels[specs.RevisionLabel] != revision || !job.DeletionTimestamp.IsZero() {
			continue
		}
		attempt, err := strconv.Atoi(job.Annotations[specs.AttemptAnnotation])
		if err == nil && attempt > highest {
			latest, highest = job, attempt
		}
	}
	return latest, highest
}

func backoff(attempt int) time.Duration {
	delay := retryDelay
	for range attempt - 1 {
		if delay *= 2; delay >= maxRetryDelay {
			return maxRetryDelay
		}
	}
	return delay
}

func jobCondition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}
