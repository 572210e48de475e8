package operator_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// runningJob is the one Job that has not ended and is not being deleted.
func (w *world) runningJob(ctx context.Context) *batchv1.Job {
	GinkgoHelper()
	var running []batchv1.Job
	for _, job := range w.allJobs(ctx) {
		if len(job.Status.Conditions) == 0 && job.DeletionTimestamp.IsZero() {
			running = append(running, job)
		}
	}
	Expect(running).To(HaveLen(1))
	return &running[0]
}

// failJob ends the Job as the Job controller would.
func (p *platform) failJob(ctx context.Context, job *batchv1.Job, message string) {
	GinkgoHelper()
	now := metav1.NewTime(p.clock.Now())
	job.Status.StartTime = &now
	for _, kind := range []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now, Message: message,
		})
	}
	Expect(kube.Client.Status().Update(ctx, job)).To(Succeed())
}

var _ = Describe("A migration", func() {
	reconcile := func(ctx context.Context, p *platform) time.Duration {
		GinkgoHelper()
		result, err := p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		return result.RequeueAfter
	}

	It("that does not start, or fails, says why", func(ctx SpecContext) {
		p := newPlatform(ctx)
		reconcile(ctx, p)
		job := p.runningJob(ctx)
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/MigrationRunning"))

		By("a quota that refuses its pod, which only an event tells")
		event := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: p.namespace, Name: "refused"},
			InvolvedObject: corev1.ObjectReference{Kind: "Job", Namespace: p.namespace, Name: job.Name, UID: job.UID},
			Reason:         "FailedCreate", Type: corev1.EventTypeWarning, LastTimestamp: metav1.Now(),
			Message: `Error creating: pods "x" is forbidden: failed quota: compute: must specify limits.cpu`,
		}
		Expect(kube.Client.Create(ctx, event)).To(Succeed())
		p.fault = only(request{"list", "EventList", ""}, faultyAnswers["refusal"].err)
		_, err := p.reconcile(ctx)
		Expect(err).To(MatchError(ContainSubstring("policy says no")))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/ApplyRefused"))
		p.fault = nil
		Expect(reconcile(ctx, p)).To(BeNumerically("<=", 2*time.Second), "nothing wakes the operator up")
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/FailedCreate"))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring("must specify limits.cpu"))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/FailedCreate"))

		By("an image that cannot be pulled")
		pod := p.pod(ctx, "migrate-1", job, job.Spec.Template.Labels, waitingPod("ErrImagePull", "manifest unknown"))
		reconcile(ctx, p)
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/ImagePullBackOff"))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("False/ImagePullBackOff"))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring("manifest unknown"))
		Expect(warnings(p.told())).To(ContainElement(And(
			HavePrefix("Warning ImagePullBackOff"), ContainSubstring("manifest unknown"))))

		By("a pod that fails")
		ended := corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "orderd", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, Reason: "Error", Message: "relation orders: permission denied",
			}},
		}}}
		p.podStatus(ctx, pod, ended)
		reconcile(ctx, p)
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/MigrationRunning"))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionMigrated)()).To(And(
			ContainSubstring("1 of its pods failed"), ContainSubstring("permission denied")))
		p.failJob(ctx, job, "Job has reached the specified backoff limit")
		reconcile(ctx, p)
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/MigrationFailed"))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionMigrated)()).To(And(
			ContainSubstring("backoff limit"), ContainSubstring("permission denied"), ContainSubstring("attempt 1")))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/MigrationFailed"))
		failed := func() []string {
			var out []string
			for _, e := range warnings(p.told()) {
				if len(e) > len("Warning MigrationFailed") && e[:len("Warning MigrationFailed")] == "Warning MigrationFailed" {
					out = append(out, e)
				}
			}
			return out
		}
		Expect(failed()).To(HaveLen(1))
		reconcile(ctx, p)
		Expect(failed()).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("that ran out of its time says what had kept it", func(ctx SpecContext) {
		p := newPlatform(ctx)
		reconcile(ctx, p)
		job := p.runningJob(ctx)
		pod := p.pod(ctx, "migrate-1", job, job.Spec.Template.Labels, waitingPod("ErrImagePull", "manifest unknown"))
		reconcile(ctx, p)
		Expect(kube.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		p.failJob(ctx, job, "Job was active longer than specified deadline")
		for range 2 {
			reconcile(ctx, p)
			Expect(p.clusterMessage(ctx, v1alpha1.ConditionMigrated)()).To(And(
				ContainSubstring("longer than specified deadline"), ContainSubstring("manifest unknown")))
		}
	}, SpecTimeout(time.Minute))

	It("waits for a Job of its name to go, which is kept while its pods are let go", func(ctx SpecContext) {
		p := newPlatform(ctx)
		reconcile(ctx, p)
		job := p.runningJob(ctx)
		Expect(kube.Client.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
		cluster := p.getCluster(ctx)
		cluster.Spec.Pools.Worker.Pod.Labels = map[string]v1alpha1.NodeLabelValue{"example.com/team": "shop"}
		cluster.Spec.Pools.Worker.NodeSelector = map[string]v1alpha1.NodeLabelValue{"example.com/lane": "jobs"}
		Expect(kube.Client.Update(ctx, cluster)).To(Succeed())
		Expect(reconcile(ctx, p)).To(BeNumerically("<=", 2*time.Second), "its going wakes nobody up")
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/MigrationRunning"))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionMigrated)()).To(ContainSubstring("is being deleted"))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("False/AsExpected"))

		Expect(kube.Client.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
		job.Finalizers = nil
		Expect(kube.Client.Update(ctx, job)).To(Succeed())
		reconcile(ctx, p)
		again := p.runningJob(ctx)
		Expect(again.Name).To(Equal(job.Name))
		Expect(again.Spec.Template.Spec.NodeSelector).To(HaveKeyWithValue("example.com/lane", "jobs"))
	}, SpecTimeout(time.Minute))

	It("that fails on and on leaves two Jobs, with what belongs to them", func(ctx SpecContext) {
		p := newPlatform(ctx)
		for attempt := 1; attempt <= 6; attempt++ {
			reconcile(ctx, p)
			p.failJob(ctx, p.runningJob(ctx), "no")
			reconcile(ctx, p)
			p.clock.Set(p.clock.Now().Add(6 * time.Minute))
		}
		reconcile(ctx, p)
		var attempts []string
		for _, job := range p.allJobs(ctx) {
			if job.DeletionTimestamp.IsZero() {
				attempts = append(attempts, job.Annotations["orderd.dev/attempt"])
			}
		}
		Expect(attempts).To(ConsistOf("5", "6", "7"), "the last two that failed, and the one that runs")
		var maps corev1.ConfigMapList
		Expect(kube.Client.List(ctx, &maps, client.InNamespace(p.namespace),
			client.MatchingLabels{"app.kubernetes.io/component": "migrate"})).To(Succeed())
		Expect(maps.Items).To(HaveLen(3))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionMigrated)()).To(ContainSubstring("-7 is running"))

		By("waiting quietly while it is paused")
		p.failJob(ctx, p.runningJob(ctx), "no")
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Paused = ptr.To(true) })
		p.clock.Set(p.clock.Now().Add(6 * time.Minute))
		Expect(reconcile(ctx, p)).To(BeNumerically(">", time.Second))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/MigrationFailed"))
	}, SpecTimeout(time.Minute))

	It("of an image that is not wanted any more is stopped", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Image = "orderd:bad" })
		reconcile(ctx, p)
		bad := p.runningJob(ctx)

		By("when another one is wanted")
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Image = "orderd:worse" })
		reconcile(ctx, p)
		worse := p.runningJob(ctx)
		Expect(worse.Name).NotTo(Equal(bad.Name))

		By("when the one before is wanted back")
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Image = "orderd:test" })
		reconcile(ctx, p)
		for _, job := range []*batchv1.Job{bad, worse} {
			found := &batchv1.Job{}
			err := kube.Client.Get(ctx, client.ObjectKeyFromObject(job), found)
			Expect(apierrors.IsNotFound(err) || err == nil && !found.DeletionTimestamp.IsZero()).To(BeTrue(), job.Name)
		}
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("True/Migrated"))
	}, SpecTimeout(time.Minute))

	It("is not taken over from somebody else's Job", func(ctx SpecContext) {
		p := newPlatform(ctx)
		reconcile(ctx, p)
		job := p.runningJob(ctx)
		// As if the OrderCluster had been made anew under its name, and nothing had been collected yet.
		other := p.getCluster(ctx)
		Expect(kube.Client.Delete(ctx, other)).To(Succeed())
		reconcile(ctx, p)
		Expect(kube.Client.Create(ctx, makeCluster(p.namespace, p.nats.URL()).Obj())).To(Succeed())
		_, err := p.reconcile(ctx)
		Expect(err).To(MatchError(ContainSubstring("does not belong to this OrderCluster")))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/NameTaken"))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/NameTaken"))
		found := &batchv1.Job{}
		Expect(kube.Client.Get(ctx, client.ObjectKeyFromObject(job), found)).To(Succeed())
		Expect(found.ResourceVersion).To(Equal(job.ResourceVersion))
		Expect(found.DeletionTimestamp.IsZero()).To(BeTrue())
	}, SpecTimeout(time.Minute))
})
