package main

import (
	"context"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/orderd/shop/schema"
)

// kubelet stands in for what an API server alone does not have, in one place: it runs migration Jobs, for real, reports
// Deployments' pods as available, and collects what has lost its owner.
type kubelet struct {
	place *place
	// failJobs makes Jobs fail; holdPods keeps pods from becoming available.
	failJobs, holdPods atomic.Bool
	stop               func()
}

const kubeletInterval = 100 * time.Millisecond

func playKubelet(p *place) *kubelet {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	k := &kubelet{place: p, stop: func() {
		cancel()
		<-done
	}}
	go func() {
		defer close(done)
		tick := time.NewTicker(kubeletInterval)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				k.step(ctx)
				if n%5 == 0 {
					k.collect(ctx)
				}
			}
		}
	}()
	return k
}

// step ignores errors: what failed is tried again by the next one.
func (k *kubelet) step(ctx context.Context) {
	var jobs batchv1.JobList
	if k.place.kube.List(ctx, &jobs, client.InNamespace(k.place.namespace)) == nil {
		for i := range jobs.Items {
			if len(jobs.Items[i].Status.Conditions) == 0 {
				k.runJob(ctx, &jobs.Items[i])
			}
		}
	}
	var deployments appsv1.DeploymentList
	if k.holdPods.Load() || k.place.kube.List(ctx, &deployments, client.InNamespace(k.place.namespace)) != nil {
		return
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		n := ptr.Deref(d.Spec.Replicas, 1)
		if d.Status.AvailableReplicas == n && d.Status.ObservedGeneration == d.Generation {
			continue
		}
		d.Status = appsv1.DeploymentStatus{
			ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
		}
		_ = k.place.kube.Status().Update(ctx, d)
	}
}

func (k *kubelet) runJob(ctx context.Context, job *batchv1.Job) {
	now := metav1.Now()
	set := func(kind batchv1.JobConditionType, reason, message string) {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now, Reason: reason, Message: message,
		})
	}
	job.Status.StartTime = &now
	if k.failJobs.Load() {
		job.Status.Failed = 3
		set(batchv1.JobFailureTarget, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
		set(batchv1.JobFailed, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
	} else {
		if schema.Migrate(ctx, k.place.databaseURL, k.place.log) != nil {
			return
		}
		job.Status.Succeeded, job.Status.CompletionTime = 1, &now
		set(batchv1.JobSuccessCriteriaMet, "CompletionsReached", "Reached expected number of succeeded pods")
		set(batchv1.JobComplete, "CompletionsReached", "Reached expected number of succeeded pods")
	}
	_ = k.place.kube.Status().Update(ctx, job)
}

// collect deletes what belongs to nobody any more.
func (k *kubelet) collect(ctx context.Context) {
	objects, err := owned(ctx, k.place)
	if err != nil {
		return
	}
	alive, err := owners(ctx, k.place)
	if err != nil {
		return
	}
	for i := range objects {
		if o := &objects[i]; !o.GetDeletionTimestamp().IsZero() && len(o.GetFinalizers()) > 0 {
			// A Job that was deleted without a word about its pods waits for them to be let go.
			o.SetFinalizers(nil)
			_ = k.place.kube.Update(ctx, o)
			continue
		}
		owner := metav1.GetControllerOf(&objects[i])
		if owner == nil || alive[owner.UID] {
			continue
		}
		_ = k.place.kube.Delete(ctx, &objects[i], client.Preconditions{UID: ptr.To(objects[i].GetUID())},
			client.PropagationPolicy(metav1.DeletePropagationBackground))
	}
}
