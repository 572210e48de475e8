package report

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

var deployments = schema.GroupResource{Group: "apps", Resource: "deployments"}

// sent are the events of a report whose status did not change.
func sent(t *testing.T, r *Report) []string {
	t.Helper()
	recorder := events.NewFakeRecorder(100)
	if err := r.Apply(t.Context(), nil, recorder, 0, 0); err != nil {
		t.Fatal(err)
	}
	var told []string
	for len(recorder.Events) > 0 {
		told = append(told, <-recorder.Events)
	}
	return told
}

func TestAProblemIsToldOnce(t *testing.T) {
	c := &v1alpha1.OrderCluster{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	now := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	flash := Problem{"Refused", "Apply flash", "flash: no", "flash: no, for the 1st time"}
	again := Problem{"Refused", "Apply flash", "flash: no", "flash: no, for the 2nd time"}
	worker := Problem{"Failed", "Apply worker", "worker: later", "worker: later"}
	silent := Problem{Reason: "Missing", Text: "told elsewhere"}
	for _, step := range []struct {
		problems      []Problem
		want          []string
		wantCondition string
	}{
		{[]Problem{flash}, []string{"Warning Refused flash: no, for the 1st time"}, "Refused: flash: no, for the 1st time"},
		{[]Problem{again}, nil, "Refused: flash: no, for the 2nd time"},
		{
			[]Problem{again, worker}, []string{"Warning Failed worker: later"},
			"Refused: flash: no, for the 2nd time; worker: later",
		},
		{[]Problem{silent}, nil, "Missing: told elsewhere"},
		{[]Problem{flash}, []string{"Warning Refused flash: no, for the 1st time"}, "Refused: flash: no, for the 1st time"},
	} {
		r := New(c, "OrderCluster", now)
		r.Fail("Applied", step.problems...)
		if diff := cmp.Diff(step.want, sent(t, r)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		got := r.Get("Applied")
		if got.Reason+": "+got.Message != step.wantCondition || got.ObservedGeneration != 3 {
			t.Errorf("the condition is %v, want %s", got, step.wantCondition)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	r := New(&v1alpha1.OrderCluster{}, "OrderCluster", time.Unix(0, 0))
	r.Warning("Long", "Test", "%s", strings.Repeat("手机", 1000))
	r.False("Applied", "Long", "%s", strings.Repeat("手机", 10_000))
	if got := strings.TrimPrefix(sent(t, r)[0], "Warning Long "); len(got) > 1024 || !strings.HasSuffix(got, "…") {
		t.Errorf("an event of %d bytes", len(got))
	}
	if got := r.Get("Applied").Message; len(got) > 32768 || !strings.HasSuffix(got, "…") {
		t.Errorf("a condition of %d bytes", len(got))
	}
}

func TestWhoHasToActOnARefusal(t *testing.T) {
	for name, tt := range map[string]struct {
		err         error
		want, words string
	}{
		"admission": {
			apierrors.NewForbidden(deployments, "shop-flash", errors.New("policy says no")),
			v1alpha1.ReasonApplyRefused, `deployments.apps "shop-flash" is forbidden: policy says no`,
		},
		"a value": {
			apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "shop-flash", nil),
			v1alpha1.ReasonApplyRefused, `Deployment "shop-flash" is invalid`,
		},
		"somebody else wrote": {
			apierrors.NewConflict(deployments, "shop-flash", errors.New("old")),
			v1alpha1.ReasonApplyFailed, `Operation cannot be fulfilled on deployments.apps "shop-flash": old`,
		},
		"too busy": {apierrors.NewTooManyRequests("later", 1), v1alpha1.ReasonApplyFailed, "later"},
		"broken": {
			apierrors.NewInternalError(errors.New("etcd")), v1alpha1.ReasonApplyFailed, "Internal error occurred: etcd",
		},
		"no answer": {http.ErrHandlerTimeout, v1alpha1.ReasonApplyFailed, http.ErrHandlerTimeout.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			reason, words := Refusal(tt.err)
			if reason != tt.want || !strings.HasPrefix(words, tt.words) {
				t.Errorf("Refusal() = %s, %q; want %s, %q", reason, words, tt.want, tt.words)
			}
		})
	}
}
