package operator_test

import (
	"context"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/orderd/shop/schema"
)

// kubelet stands in for what the API server alone does not have: it runs migration Jobs, for real,
// and reports Deployments' pods as available.
type kubelet struct {
	world *world
	// failJobs makes Jobs fail instead; holdPods keeps pods from becoming available.
	failJobs, holdPods atomic.Bool
	jobs               atomic.Int32
}

// play runs a kubelet until the spec ends.
func (w *world) play() *kubelet {
	k := &kubelet{world: w}
	background(func(ctx context.Context) error {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
				k.step(ctx)
			}
		}
	})
	return k
}

// step ignores errors: what failed is tried again by the next one.
func (k *kubelet) step(ctx context.Context) {
	var jobs batchv1.JobList
	if kube.Client.List(ctx, &jobs, client.InNamespace(k.world.namespace)) == nil {
		for i := range jobs.Items {
			k.runJob(ctx, &jobs.Items[i])
		}
	}
	var deployments appsv1.DeploymentList
	if kube.Client.List(ctx, &deployments, client.InNamespace(k.world.namespace)) != nil || k.holdPods.Load() {
		return
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		if n := *d.Spec.Replicas; d.Status.AvailableReplicas != n || d.Status.ObservedGeneration != d.Generation {
			d.Status = appsv1.DeploymentStatus{
				ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
			}
			_ = kube.Client.Status().Update(ctx, d)
		}
	}
}

func (k *kubelet) runJob(ctx context.Context, job *batchv1.Job) {
	if len(job.Status.Conditions) > 0 {
		return
	}
	now := metav1.Now()
	at := func(kind batchv1.JobConditionType, reason, message string) batchv1.JobCondition {
		return batchv1.JobCondition{
			Type:               kind,
			Status:             corev1.ConditionTrue,
			LastTransitionTime: now,
			Reason:             reason,
			Message:            message,
		}
	}
	job.Status.StartTime = &now
	if k.failJobs.Load() {
		job.Status.Failed = 3
		job.Status.Conditions = []batchv1.JobCondition{
			at(batchv1.JobFailureTarget, "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
			at(batchv1.JobFailed, "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
		}
	} else {
		if err := schema.Migrate(ctx, k.world.databaseURL, k.world.log); err != nil {
			k.world.log.Error("migrating", "error", err)
			return
		}
		job.Status.Succeeded, job.Status.CompletionTime = 1, &now
		job.Status.Conditions = []batchv1.JobCondition{
			at(batchv1.JobSuccessCriteriaMet, "CompletionsReached", "Reached expected number of succeeded pods"),
			at(batchv1.JobComplete, "CompletionsReached", "Reached expected number of succeeded pods"),
		}
	}
	if err := kube.Client.Status().Update(ctx, job); err != nil {
		GinkgoWriter.Printf("marking Job %s: %v\n", job.Name, err)
		return
	}
	k.jobs.Add(1)
}
