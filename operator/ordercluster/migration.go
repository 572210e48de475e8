package ordercluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
)

const (
	// A failed migration is attempted again after retryDelay, doubled each time up to maxRetryDelay.
	retryDelay    = 10 * time.Second
	maxRetryDelay = 5 * time.Minute
	// keptFailed is how many failed attempts are kept.
	keptFailed = 2
	// podInterval is how often a Job without pods is looked at: what refuses them wakes nobody.
	podInterval = 2 * time.Second
)

// migrate runs the migration Job for the image and configuration of the spec until one attempt has
// succeeded.
func (r *Reconciler) migrate(ctx context.Context, s *scope) error {
	if s.revision == "" {
		// What to migrate to is not known, and the phase that failed says why.
		return nil
	}
	s.migrated = s.cluster.Status.Migration.Revision == s.revision
	jobs, err := r.migrationJobs(ctx, s)
	if err != nil {
		return err
	}
	job, attempt := latestAttempt(jobs, s.revision)
	switch {
	case s.migrated:
		s.report.True(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrated, "the database is migrated for %s",
			s.cluster.Spec.Image)
	case job != nil && jobCondition(job, batchv1.JobComplete) != nil:
		s.completed(jobCondition(job, batchv1.JobComplete))
	case isGoing(jobs, specs.MigrationName(s.cluster.Name, s.revision, attempt+1)):
		// It cannot be changed to what is wanted now, and a new one cannot have its name yet.
		s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrationRunning,
			"Job %s is being deleted; the migration starts once it is gone",
			specs.MigrationName(s.cluster.Name, s.revision, attempt+1))
		s.within(podInterval)
	default:
		err = r.attempt(ctx, s, job, attempt)
	}
	if s.cluster.IsPaused() || !s.databaseReady {
		// Without the database's Secret nobody knows what is superseded.
		return err
	}
	return errors.Join(err, r.removeMigrations(ctx, s, obsolete(jobs, s.revision, s.migrated)))
}

// migrationJobs of the OrderCluster, of all revisions.
func (r *Reconciler) migrationJobs(ctx context.Context, s *scope) ([]batchv1.Job, error) {
	var list batchv1.JobList
	if err := r.Client.List(ctx, &list, client.InNamespace(s.cluster.Namespace),
		client.MatchingLabels(specs.MigrationLabels(s.cluster.Name))); err != nil {
		return nil, fmt.Errorf("listing migration Jobs: %w", err)
	}
	// Whoever else has Jobs with these labels keeps them, and no migration is done by them.
	foreign := func(job batchv1.Job) bool { return !metav1.IsControlledBy(&job, s.cluster) }
	return slices.DeleteFunc(list.Items, foreign), nil
}

func (s *scope) completed(c *batchv1.JobCondition) {
	s.migrated = true
	s.cluster.Status.Migration = v1alpha1.MigrationStatus{
		Revision: s.revision, Image: s.cluster.Spec.Image, CompletionTime: c.LastTransitionTime,
	}
	s.report.True(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrated, "the database is migrated for %s",
		s.cluster.Spec.Image)
	s.report.Normal("Migrated", "Migrate", "the database is migrated for %s", s.cluster.Spec.Image)
}

// attempt starts the next attempt, or follows the one that runs; job is nil before the first.
func (r *Reconciler) attempt(ctx context.Context, s *scope, job *batchv1.Job, attempt int) error {
	const condition = v1alpha1.ConditionMigrated
	var failed *batchv1.JobCondition
	if job != nil {
		failed = jobCondition(job, batchv1.JobFailed)
	}
	switch {
	case job != nil && failed == nil:
		return r.followMigration(ctx, s, job)
	case s.invalid != "":
		s.report.False(condition, v1alpha1.ReasonConfigInvalid, "the migration starts once the configuration is valid")
		return nil
	case !s.databaseReady:
		s.report.False(condition, v1alpha1.ReasonWaitingForDatabase, "the migration starts once the database answers")
		return nil
	case failed != nil:
		wait := failed.LastTransitionTime.Add(backoff(attempt)).Sub(s.now)
		if wait > 0 {
			s.within(wait)
		}
		if wait > 0 || s.cluster.IsPaused() {
			return r.migrationFailed(ctx, s, job, attempt, failed.Message)
		}
	case s.cluster.IsPaused():
		s.report.False(condition, v1alpha1.ReasonPaused, "spec.paused: the migration for %s is not started",
			s.cluster.Spec.Image)
		return nil
	}
	name := specs.MigrationName(s.cluster.Name, s.revision, attempt+1)
	if err := r.apply(ctx, s, specs.Migration(s.cluster, s.config, s.revision, attempt+1)...); err != nil {
		return err
	}
	if attempt == 0 {
		s.report.Normal("Migrating", "Migrate", "migrating the database for %s", s.cluster.Spec.Image)
	}
	s.report.False(condition, v1alpha1.ReasonMigrationRunning, "Job %s is running", name)
	s.within(podInterval)
	return nil
}

// followMigration says how a running Job is getting on.
func (r *Reconciler) followMigration(ctx context.Context, s *scope, job *batchv1.Job) error {
	if !s.cluster.IsPaused() {
		// Somebody may have removed the ConfigMap. The Job itself cannot be changed any more.
		objects := specs.Migration(s.cluster, s.config, s.revision, attemptOf(job))
		if err := r.applyAllBut(ctx, s, "Job", objects); err != nil {
			return err
		}
	}
	pods, err := r.pods(ctx, s, ownedBy(job))
	if err != nil {
		return err
	}
	found := podTroubles(pods)
	if len(pods) == 0 {
		// What refuses a Job's pods is told by events alone.
		s.within(podInterval)
		if found, err = r.refusedPods(ctx, job); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		what := "Job " + job.Name + ": "
		s.report.Fail(v1alpha1.ConditionMigrated, report.Problem{
			Reason: found[0].reason, Action: "Migrate",
			Key: what + found[0].reason, Text: what + found[0].String(),
		})
		return nil
	}
	message := fmt.Sprintf("Job %s is running", job.Name)
	if words, failed := failedPods(pods); failed > 0 {
		message += fmt.Sprintf("; %d of its pods failed, the last one: %s", failed, words)
	}
	s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrationRunning, "%s", message)
	return nil
}

func (r *Reconciler) applyAllBut(
	ctx context.Context, s *scope, kind string, objects []runtime.ApplyConfiguration,
) error {
	for _, o := range objects {
		u, err := unstructuredOf(o)
		if err != nil {
			return err
		}
		if u.GetKind() == kind {
			continue
		}
		if err := r.apply(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

// refusedPods says why the Job has no pods: a quota or an admission policy refused them. The Job's status has nothing
// of it, only the Job controller's events do.
func (r *Reconciler) refusedPods(ctx context.Context, job *batchv1.Job) ([]trouble, error) {
	var list corev1.EventList
	if err := r.Reader.List(ctx, &list, client.InNamespace(job.Namespace), client.MatchingFields{
		"involvedObject.uid": string(job.UID), "reason": v1alpha1.ReasonFailedCreate,
	}); err != nil {
		return nil, fmt.Errorf("reading the events of Job %s: %w", job.Name, err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	last := slices.MaxFunc(list.Items, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	return []trouble{{v1alpha1.ReasonFailedCreate, last.Message}}, nil
}

func eventTime(e corev1.Event) time.Time {
	latest := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

func (r *Reconciler) migrationFailed(ctx context.Context, s *scope, job *batchv1.Job, attempt int, why string) error {
	pods, err := r.pods(ctx, s, ownedBy(job))
	if err != nil {
		return err
	}
	key := fmt.Sprintf("Job %s failed: ", job.Name)
	text := fmt.Sprintf("%s%s (attempt %d; another one follows)", key, why, attempt)
	before := s.report.Before(v1alpha1.ConditionMigrated)
	words, failed := failedPods(pods)
	switch {
	case failed > 0:
		text += "; its last pod: " + words
	case before != nil && strings.Contains(before.Message, key):
		text = before.Message
	case before != nil && strings.HasPrefix(before.Message, "Job "+job.Name+": "):
		// A Job that ran out of its time takes its pods along; what kept them is known from before.
		text += "; before that, " + before.Message
	}
	s.report.Fail(v1alpha1.ConditionMigrated, report.Problem{
		Reason: v1alpha1.ReasonMigrationFailed, Action: "Migrate", Key: key, Text: text,
	})
	return nil
}

// removeMigrations deletes Jobs, and what belongs to them.
func (r *Reconciler) removeMigrations(ctx context.Context, s *scope, jobs []*batchv1.Job) error {
	for _, job := range jobs {
		configMap := &corev1.ConfigMap{}
		err := r.Client.Get(ctx, client.ObjectKeyFromObject(job), configMap)
		if err == nil && metav1.IsControlledBy(configMap, s.cluster) {
			err = r.Client.Delete(ctx, configMap, client.Preconditions{UID: ptr.To(configMap.UID)})
		}
		if client.IgnoreNotFound(err) != nil {
			return &objectError{"deleting", "ConfigMap " + job.Name, err}
		}
		err = r.Client.Delete(ctx, job, client.Preconditions{UID: ptr.To(job.UID)},
			client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return &objectError{"deleting", "Job " + job.Name, err}
		}
		for _, kind := range []string{"ConfigMap", "Job"} {
			r.applied.drop(client.ObjectKeyFromObject(s.cluster), kind, job.Name)
		}
	}
	return nil
}

// obsolete are the Jobs that are of no use any more: those of other revisions, at once unless they succeeded, and
// then once this revision is migrated to; and of those that failed all but the last two, whose logs tell why.
func obsolete(jobs []batchv1.Job, revision string, migrated bool) []*batchv1.Job {
	var gone, failed []*batchv1.Job
	for i := range jobs {
		job := &jobs[i]
		switch {
		case !job.DeletionTimestamp.IsZero():
		case job.Labels[specs.RevisionLabel] != revision:
			if migrated || jobCondition(job, batchv1.JobComplete) == nil {
				gone = append(gone, job)
			}
		case jobCondition(job, batchv1.JobFailed) != nil:
			failed = append(failed, job)
		}
	}
	slices.SortFunc(failed, func(a, b *batchv1.Job) int { return cmp.Compare(attemptOf(a), attemptOf(b)) })
	return append(gone, failed[:max(0, len(failed)-keptFailed)]...)
}

// attemptOf is the number of the Job's attempt; 0 for one without.
func attemptOf(job *batchv1.Job) int {
	attempt, err := strconv.Atoi(job.Annotations[specs.AttemptAnnotation])
	if err != nil {
		return 0
	}
	return attempt
}

// isGoing tells whether the Job of that name is being deleted.
func isGoing(jobs []batchv1.Job, name string) bool {
	return slices.ContainsFunc(jobs, func(job batchv1.Job) bool {
		return job.Name == name && !job.DeletionTimestamp.IsZero()
	})
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
		if attempt := attemptOf(job); attempt > highest {
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
