package ordercluster

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// maxLastWords is how much of what a container said when it ended is told, in bytes: its end, where the cause is.
const maxLastWords = 512

// trouble is why pods do not start: a condition's reason, and Kubernetes' own words. The zero value is none.
type trouble struct{ reason, words string }

// String is for people. Its beginning stays the same while the trouble is the same.
func (t trouble) String() string {
	if t.words == "" {
		return t.reason
	}
	return t.reason + ", " + t.words
}

// reasonPattern is what the API server takes as a condition's reason.
var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// podTrouble says why the pod does not start. A pod that starts as it should, is leaving, or has ended has none.
func podTrouble(pod *corev1.Pod) trouble {
	if !pod.DeletionTimestamp.IsZero() || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return trouble{}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason != "" {
			return troubleOf(c.Reason, c.Message)
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if found := containerTrouble(c); found != (trouble{}) {
			return found
		}
	}
	return trouble{}
}

func containerTrouble(c corev1.ContainerStatus) trouble {
	ended := c.LastTerminationState.Terminated
	if c.State.Terminated != nil {
		ended = c.State.Terminated
	}
	if w := c.State.Waiting; w != nil && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, w.Reason) {
		t := troubleOf(w.Reason, w.Message)
		if ended != nil {
			t.words = strings.TrimPrefix(t.words+"; "+lastWords(ended), "; ")
		}
		return t
	}
	if ended != nil && ended.ExitCode != 0 && !c.Ready {
		// Between two crashes it runs for a moment: the trouble is the same.
		return trouble{v1alpha1.ReasonCrashLoopBackOff, lastWords(ended)}
	}
	return trouble{}
}

// troubleOf the kubelet's or the scheduler's reason and message.
func troubleOf(reason, message string) trouble {
	t := trouble{named(reason), message}
	if t.reason != reason {
		t.words = strings.TrimSuffix(reason+": "+message, ": ")
	}
	return t
}

// named is the kubelet's reason as a condition has it. Pulling fails and waits in turn, and is one trouble.
func named(reason string) string {
	switch {
	case reason == "ErrImagePull":
		return v1alpha1.ReasonImagePullBackOff
	case !reasonPattern.MatchString(reason):
		return v1alpha1.ReasonContainerWaiting
	}
	return reason
}

// lastWords say how a container ended.
func lastWords(t *corev1.ContainerStateTerminated) string {
	words := fmt.Sprintf("it ended with exit code %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" {
		words += " (" + t.Reason + ")"
	}
	message := strings.TrimSpace(t.Message)
	if message == "" {
		return words
	}
	if len(message) > maxLastWords {
		message = "…" + strings.ToValidUTF8(message[len(message)-maxLastWords:], "")
	}
	return words + ": " + message
}

// deploymentTrouble says what the Deployment itself was refused.
func deploymentTrouble(d *appsv1.Deployment) []trouble {
	var found []trouble
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			found = append(found, trouble{v1alpha1.ReasonFailedCreate, c.Message})
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason != "":
			found = append(found, troubleOf(c.Reason, c.Message))
		}
	}
	return found
}

// podTroubles are the troubles of many pods: one of each reason, with one pod's words and the number of the others.
func podTroubles(pods []corev1.Pod) []trouble {
	of := map[string][]string{}
	words := map[string]string{}
	sorted := slices.Clone(pods)
	slices.SortFunc(sorted, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	var reasons []string
	for i := range sorted {
		t := podTrouble(&sorted[i])
		if t == (trouble{}) {
			continue
		}
		if len(of[t.reason]) == 0 {
			words[t.reason] = t.words
			reasons = append(reasons, t.reason)
		}
		of[t.reason] = append(of[t.reason], sorted[i].Name)
	}
	var found []trouble
	for _, reason := range reasons {
		who := "pod " + of[reason][0]
		if others := len(of[reason]) - 1; others > 0 {
			who = fmt.Sprintf("%s and %d more", who, others)
		}
		found = append(found, trouble{reason, strings.TrimSuffix(who+": "+words[reason], ": ")})
	}
	return found
}

// failedPod says how the last of a Job's pods ended that failed, and how many did; "" if none.
func failedPods(pods []corev1.Pod) (words string, failed int) {
	var last time.Time
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodFailed {
			continue
		}
		failed++
		if words != "" && pod.CreationTimestamp.Time.Before(last) {
			continue
		}
		last = pod.CreationTimestamp.Time
		words = cmp.Or(pod.Status.Message, pod.Status.Reason, "it failed")
		for _, c := range pod.Status.ContainerStatuses {
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
				words = lastWords(t)
			}
		}
	}
	return words, failed
}

// needsPerson reports whether nothing gets better by itself that has this reason. It may be tried again all the same.
func needsPerson(reason string) bool {
	switch reason {
	case v1alpha1.ReasonApplyFailed, v1alpha1.ReasonUnreachable, v1alpha1.ReasonJetStreamUnavailable,
		v1alpha1.ReasonUnschedulable, v1alpha1.ReasonPoolsNotReady, v1alpha1.ReasonWaitingForDatabase,
		v1alpha1.ReasonMigrationRunning, v1alpha1.ReasonWaitingForMigration, v1alpha1.ReasonPaused,
		v1alpha1.ReasonDeleting, v1alpha1.ReasonWaiting, v1alpha1.ReasonRollWaitsForSale, v1alpha1.ReasonRollWaitsForTurn,
		"SchedulingGated", "SchedulerError", "":
		return false
	}
	return true
}
