package ordercluster

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/operator/specs"
)

// job is an attempt at a revision, with a condition unless it runs.
func job(revision string, attempt int, ended batchv1.JobConditionType) batchv1.Job {
	j := batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name:        fmt.Sprintf("%s-%d", revision, attempt),
		Labels:      map[string]string{specs.RevisionLabel: revision},
		Annotations: map[string]string{specs.AttemptAnnotation: strconv.Itoa(attempt)},
	}}
	if ended != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: ended, Status: corev1.ConditionTrue}}
	}
	return j
}

func TestObsoleteMigrations(t *testing.T) {
	const running = batchv1.JobConditionType("")
	for name, tt := range map[string]struct {
		jobs     []batchv1.Job
		migrated bool
		want     []string
	}{
		"the first attempt": {jobs: []batchv1.Job{job("b", 1, running)}},
		"two failed ones stay": {
			jobs: []batchv1.Job{job("b", 1, batchv1.JobFailed), job("b", 2, batchv1.JobFailed), job("b", 3, running)},
		},
		"of many that failed the last two": {
			jobs: []batchv1.Job{
				job("b", 10, batchv1.JobFailed), job("b", 9, batchv1.JobFailed), job("b", 2, batchv1.JobFailed),
				job("b", 8, batchv1.JobFailed), job("b", 11, running),
			},
			want: []string{"b-2", "b-8"},
		},
		"what an earlier image still does, and what it failed at": {
			jobs: []batchv1.Job{
				job("a", 3, running), job("a", 2, batchv1.JobFailed), job("0", 1, batchv1.JobComplete), job("b", 1, running),
			},
			want: []string{"a-2", "a-3"},
		},
		"the earlier image's last success, once there is a newer": {
			jobs:     []batchv1.Job{job("0", 1, batchv1.JobComplete), job("b", 1, batchv1.JobComplete)},
			migrated: true,
			want:     []string{"0-1"},
		},
		"after success": {
			jobs: []batchv1.Job{
				job("b", 1, batchv1.JobFailed), job("b", 2, batchv1.JobFailed), job("b", 3, batchv1.JobFailed),
				job("b", 4, batchv1.JobComplete),
			},
			migrated: true,
			want:     []string{"b-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, j := range obsolete(tt.jobs, "b", tt.migrated) {
				got = append(got, j.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("obsolete() (-want +got):\n%s", diff)
			}
		})
	}
}
