package operator_test

import (
	"context"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/ordercluster"
)

// request is one that the reconciler sends: a verb, a kind, and the name if it is about one object.
type request struct{ verb, kind, name string }

// platform is an OrderCluster whose reconciler is called by the test, at the time that the test sets, over a connection
// on which the test decides what the API server answers.
type platform struct {
	*world
	clock      *hands
	kubelet    *kubelet
	reconciler *ordercluster.Reconciler
	recorder   *events.FakeRecorder

	mu       sync.Mutex
	requests []request
	// fault answers instead of the API server unless it returns nil.
	fault func(request) error
	// stale, if set, changes what was read of an object.
	stale func(client.Object)
}

// newPlatform has a database with all tables, the Secrets, and an OrderCluster that nobody has looked at yet.
func newPlatform(ctx context.Context) *platform {
	GinkgoHelper()
	clock := &hands{now: time.Now().Truncate(time.Second)}
	w, _ := migratedWorld(ctx, clock.Now)
	p := &platform{
		world: w, clock: clock, kubelet: &kubelet{world: w}, recorder: events.NewFakeRecorder(10_000),
	}
	c, err := client.NewWithWatch(kube.Config, client.Options{Scheme: kube.Scheme})
	Expect(err).NotTo(HaveOccurred())
	faulty := interceptor.NewClient(c, p.funcs())
	registry := backends.NewRegistry(faulty, w.log)
	DeferCleanup(registry.Close)
	p.reconciler = &ordercluster.Reconciler{
		Client: faulty, Reader: faulty, Recorder: p.recorder, Backends: registry, Clock: clock.Now, Log: w.log,
		ServerTime: func(context.Context) (time.Time, error) { return clock.Now(), nil },
	}
	Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
	return p
}

func (p *platform) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
			opts ...client.GetOption,
		) error {
			if err := p.answer("get", o, key.Name); err != nil {
				return err
			}
			err := c.Get(ctx, key, o, opts...)
			if err == nil && p.stale != nil {
				p.stale(o)
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := p.answer("list", list, ""); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch,
			opts ...client.PatchOption,
		) error {
			if err := p.answer("patch", o, o.GetName()); err != nil {
				return err
			}
			return c.Patch(ctx, o, patch, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if err := p.answer("delete", o, o.GetName()); err != nil {
				return err
			}
			return c.Delete(ctx, o, opts...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			u := o.(interface{ GetName() string }).GetName()
			if err := p.answer("apply", o, u); err != nil {
				return err
			}
			return c.Apply(ctx, o, opts...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, o runtime.ApplyConfiguration,
			opts ...client.SubResourceApplyOption,
		) error {
			if err := p.answer("apply "+sub, o, ""); err != nil {
				return err
			}
			return c.SubResource(sub).Apply(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			if err := p.answer("patch "+sub, o, o.GetName()); err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, o, patch, opts...)
		},
	}
}

// answer notes the request, and returns the fault that the test has for it.
func (p *platform) answer(verb string, o any, name string) error {
	kind := ""
	switch o := o.(type) {
	case interface{ GetKind() string }:
		kind = o.GetKind()
	case *metav1.PartialObjectMetadata:
		kind = o.Kind
	case runtime.Object:
		gvk, err := kube.Client.GroupVersionKindFor(o)
		if err != nil {
			return err
		}
		kind = gvk.Kind
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := request{verb, kind, name}
	p.requests = append(p.requests, r)
	if p.fault == nil {
		return nil
	}
	return p.fault(r)
}

// applies are the objects that were applied since it was asked last.
func (p *platform) applies() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, r := range p.requests {
		if r.verb == "apply" {
			out = append(out, r.kind+" "+r.name)
		}
	}
	p.requests = nil
	return out
}

func (p *platform) reconcile(ctx context.Context) (ctrl.Result, error) {
	return p.reconciler.Reconcile(ctx,
		ctrl.Request{NamespacedName: types.NamespacedName{Namespace: p.namespace, Name: "shop"}})
}

// settle reconciles, with the kubelet doing its part, until the OrderCluster is ready.
func (p *platform) settle(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() string {
		p.kubelet.step(ctx)
		_, _ = p.reconcile(ctx)
		return p.clusterCondition(ctx, v1alpha1.ConditionReady)()
	}).Should(Equal("True/AllReady"))
	_, err := p.reconcile(ctx)
	Expect(err).NotTo(HaveOccurred())
}

// told are the events since it was asked last.
func (p *platform) told() []string {
	var all []string
	for {
		select {
		case e := <-p.recorder.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

func warnings(all []string) []string {
	var out []string
	for _, e := range all {
		if strings.HasPrefix(e, "Warning ") {
			out = append(out, e)
		}
	}
	return out
}

// message of a condition of the OrderCluster, for Eventually.
func (w *world) clusterMessage(ctx context.Context, kind string) func() string {
	return func() string { return message(w.getCluster(ctx).Status.Conditions, kind) }
}

// pod makes a pod as a Deployment or a Job would, and gives it the status.
func (w *world) pod(
	ctx context.Context, name string, owner client.Object, labels map[string]string, status corev1.PodStatus,
) *corev1.Pod {
	GinkgoHelper()
	gvk, err := kube.Client.GroupVersionKindFor(owner)
	Expect(err).NotTo(HaveOccurred())
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace, Name: name, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, gvk)},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "orderd", Image: "orderd:test"}}},
	}
	Expect(kube.Client.Create(ctx, pod)).To(Succeed())
	w.podStatus(ctx, pod, status)
	return pod
}

func (w *world) podStatus(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) {
	GinkgoHelper()
	pod.Status = status
	Expect(kube.Client.Status().Update(ctx, pod)).To(Succeed())
}

// waitingPod is the status of a pod whose container waits for the reason.
func waitingPod(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{
		Phase: corev1.PodPending,
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "orderd", Image: "orderd:test",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}},
	}
}

// unavailable takes a pool's pods away, as the Deployment controller would report it.
func (w *world) unavailable(ctx context.Context, pool string, conditions ...appsv1.DeploymentCondition) {
	GinkgoHelper()
	Eventually(func() error {
		d, err := w.deployment(ctx, pool)
		if err != nil {
			return err
		}
		d.Status.AvailableReplicas, d.Status.ReadyReplicas = 0, 0
		d.Status.ObservedGeneration, d.Status.Conditions = d.Generation, conditions
		return kube.Client.Status().Update(ctx, d)
	}).Should(Succeed())
}

func (w *world) allJobs(ctx context.Context) []batchv1.Job {
	GinkgoHelper()
	var list batchv1.JobList
	Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}
