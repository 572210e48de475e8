package ordercluster

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod has one container in the state.
func pod(name string, state, last corev1.ContainerState) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.PodStatus{
			Phase:             corev1.PodPending,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "orderd", State: state, LastTerminationState: last}},
		},
	}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func terminated(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message},
	}
}

func running() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
}

func unschedulable(name string) corev1.Pod {
	p := pod(name, corev1.ContainerState{}, corev1.ContainerState{})
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable",
		Message: "0/3 nodes are available: 3 Insufficient cpu.",
	}}
	return p
}

func changed(p corev1.Pod, change func(*corev1.Pod)) corev1.Pod {
	change(&p)
	return p
}

// podCases are what a pod's status says, and what is told of it.
var podCases = map[string]struct {
	pod  corev1.Pod
	want trouble
}{
	"running":    {pod("a", running(), corev1.ContainerState{}), trouble{}},
	"being made": {pod("a", waiting("ContainerCreating", ""), corev1.ContainerState{}), trouble{}},
	"an image that cannot be pulled": {
		pod("a", waiting("ImagePullBackOff", `Back-off pulling image "orderd:nxt": not found`), corev1.ContainerState{}),
		trouble{"ImagePullBackOff", `Back-off pulling image "orderd:nxt": not found`},
	},
	"the same between two attempts": {
		pod("a", waiting("ErrImagePull", "manifest unknown"), corev1.ContainerState{}),
		trouble{"ImagePullBackOff", "ErrImagePull: manifest unknown"},
	},
	"an image's name that is none": {
		pod("a", waiting("InvalidImageName", `couldn't parse image name "Orderd:1 "`), corev1.ContainerState{}),
		trouble{"InvalidImageName", `couldn't parse image name "Orderd:1 "`},
	},
	"a Secret's key that is missing": {
		pod("a", waiting("CreateContainerConfigError", `secret "db" not found`), corev1.ContainerState{}),
		trouble{"CreateContainerConfigError", `secret "db" not found`},
	},
	"a crash": {
		pod("a", waiting("CrashLoopBackOff", "back-off 10s restarting failed container"),
			terminated(1, "Error", "auth.jwksURL: no such host\n")),
		trouble{
			"CrashLoopBackOff",
			"back-off 10s restarting failed container; it ended with exit code 1: auth.jwksURL: no such host",
		},
	},
	"the same between two crashes": {
		pod("a", running(), terminated(137, "OOMKilled", "")),
		trouble{"CrashLoopBackOff", "it ended with exit code 137 (OOMKilled)"},
	},
	"a crash that is over": {
		changed(pod("a", running(), terminated(1, "Error", "x")),
			func(p *corev1.Pod) { p.Status.ContainerStatuses[0].Ready = true }),
		trouble{},
	},
	"a reason that is no condition's": {
		pod("a", waiting("cannot start", "because"), corev1.ContainerState{}),
		trouble{"ContainerWaiting", "cannot start: because"},
	},
	"no node": {unschedulable("a"), trouble{"Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."}},
	"a first container that does not start": {
		changed(pod("a", waiting("PodInitializing", ""), corev1.ContainerState{}), func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: waiting("ErrImageNeverPull", "not present")}}
		}),
		trouble{"ErrImageNeverPull", "not present"},
	},
	"a pod that is leaving": {
		changed(unschedulable("a"), func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }),
		trouble{},
	},
	"a pod that was evicted": {
		changed(unschedulable("a"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), trouble{},
	},
}

func TestWhyAPodDoesNotStart(t *testing.T) {
	for name, tt := range podCases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, podTrouble(&tt.pod), cmp.AllowUnexported(trouble{})); diff != "" {
				t.Errorf("podTrouble() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestManyPodsAreToldOfInAFewWords(t *testing.T) {
	pull := waiting("ImagePullBackOff", "not found")
	got := podTroubles([]corev1.Pod{
		pod("shop-flash-c", pull, corev1.ContainerState{}), unschedulable("shop-flash-d"),
		pod("shop-flash-a", pull, corev1.ContainerState{}), pod("shop-flash-b", pull, corev1.ContainerState{}),
		pod("shop-flash-0", running(), corev1.ContainerState{}),
	})
	want := []trouble{
		{"ImagePullBackOff", "pod shop-flash-a and 2 more: not found"},
		{"Unschedulable", "pod shop-flash-d: 0/3 nodes are available: 3 Insufficient cpu."},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(trouble{})); diff != "" {
		t.Errorf("podTroubles() (-want +got):\n%s", diff)
	}
	if got, want := got[0].String(), "ImagePullBackOff, pod shop-flash-a and 2 more: not found"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestWhatADeploymentWasRefused(t *testing.T) {
	const quota = `pods "shop-flash-1" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=3`
	condition := func(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string,
	) appsv1.DeploymentCondition {
		return appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message}
	}
	d := &appsv1.Deployment{Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
		condition(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "no"),
		condition(appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", "timed out"),
		condition(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate", quota),
	}}}
	want := []trouble{{"ProgressDeadlineExceeded", "timed out"}, {"FailedCreate", quota}}
	if diff := cmp.Diff(want, deploymentTrouble(d), cmp.AllowUnexported(trouble{})); diff != "" {
		t.Errorf("deploymentTrouble() (-want +got):\n%s", diff)
	}
	d.Status.Conditions = []appsv1.DeploymentCondition{
		condition(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetAvailable", "done"),
		condition(appsv1.DeploymentReplicaFailure, corev1.ConditionFalse, "", ""),
	}
	if got := deploymentTrouble(d); got != nil {
		t.Errorf("deploymentTrouble() = %v, want none", got)
	}
}

func TestTheLastFailedPodSaysWhyAJobFailed(t *testing.T) {
	failed := func(at int64, message string) corev1.Pod {
		return changed(pod("a", terminated(1, "Error", message), corev1.ContainerState{}), func(p *corev1.Pod) {
			p.Status.Phase, p.CreationTimestamp = corev1.PodFailed, metav1.NewTime(time.Unix(at, 0))
		})
	}
	words, n := failedPods([]corev1.Pod{failed(2, "second"), failed(3, "third"), failed(1, "first"), unschedulable("b")})
	if words != "it ended with exit code 1: third" || n != 3 {
		t.Errorf("failedPods() = %q, %d", words, n)
	}
	long, _ := failedPods([]corev1.Pod{failed(1, strings.Repeat("日志", 1000)+" the end")})
	if !strings.HasSuffix(long, " the end") || len(long) > 600 || strings.ContainsRune(long, '\uFFFD') {
		t.Errorf("failedPods() = %q", long)
	}
}

func TestOnlyWhatKeepsAPodWakesTheReconciler(t *testing.T) {
	p := troubleChanged()
	ok, broken := pod("a", running(), corev1.ContainerState{}), unschedulable("a")
	if p.Create(createEvent(&ok)) || !p.Create(createEvent(&broken)) {
		t.Error("new pods")
	}
	ready := changed(ok, func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.1" })
	if p.Update(updateEvent(&ok, &ready)) || !p.Update(updateEvent(&broken, &ok)) || !p.Update(updateEvent(&ok, &broken)) {
		t.Error("changed pods")
	}
}
