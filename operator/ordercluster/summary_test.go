package ordercluster

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
)

var groupVersionKind = v1alpha1.GroupVersion.WithKind(kind)

func cluster() *v1alpha1.OrderCluster {
	return &v1alpha1.OrderCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop", UID: "uid", Generation: 2},
		Spec: v1alpha1.OrderClusterSpec{
			Image:     "orderd:1",
			Database:  v1alpha1.DatabaseSpec{URLSecretRef: v1alpha1.SecretKeyReference{Name: "database", Key: "url"}},
			Messaging: v1alpha1.MessagingSpec{URL: "nats://nats:4222"},
			Auth:      v1alpha1.AuthSpec{Issuer: "https://id.example", Audience: "shop", JWKSURL: "https://id.example/jwks"},
		},
		Status: v1alpha1.OrderClusterStatus{ObservedGeneration: 1},
	}
}

func testScope(c *v1alpha1.OrderCluster) *scope {
	return newScope(c, time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC))
}

func createEvent(p *corev1.Pod) event.CreateEvent { return event.CreateEvent{Object: p} }

func updateEvent(from, to *corev1.Pod) event.UpdateEvent {
	return event.UpdateEvent{ObjectOld: from, ObjectNew: to}
}

// healthy is what the phases find when all is well.
func healthy(s *scope) {
	s.databaseReady, s.migrated, s.orderIDKey = true, true, "key"
	for _, condition := range []string{
		v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady, v1alpha1.ConditionMigrated,
	} {
		s.report.True(condition, "Test", "done")
	}
}

func refused(object string) error {
	return refusals{&objectError{"applying", object, apierrors.NewForbidden(
		schema.GroupResource{Group: "apps", Resource: "deployments"}, "x", errors.New("policy no"))}}
}

func pull(s *scope) {
	healthy(s)
	s.unready = []report.Problem{{
		Reason: v1alpha1.ReasonImagePullBackOff, Action: "Start flash", Key: "flash: ImagePullBackOff",
		Text: "flash: ImagePullBackOff, pod a: not found",
	}}
}

// summaryCases are what the phases found, and what the conditions say of it.
var summaryCases = map[string]struct {
	paused   bool
	found    func(*scope)
	ready    string
	applied  string
	stalled  string
	going    string
	observed int64
}{
	"all is well": {
		found: healthy,
		ready: "True/AllReady", applied: "True/Applied", stalled: "False/AsExpected", going: "False/AsExpected", observed: 2,
	},
	"an object is refused": {
		found: func(s *scope) { healthy(s); s.fail(v1alpha1.ConditionApplied, refused("Deployment shop-flash")) },
		ready: "False/ApplyRefused", applied: "False/ApplyRefused", stalled: "True/ApplyRefused", going: "False/AsExpected",
		observed: 1,
	},
	"the API server does not answer": {
		found: func(s *scope) { healthy(s); s.fail(v1alpha1.ConditionApplied, errors.New("timed out")) },
		ready: "False/ApplyFailed", applied: "False/ApplyFailed", stalled: "False/AsExpected", going: "True/ApplyFailed",
		observed: 1,
	},
	"a name is taken, and the API server does not answer for another": {
		found: func(s *scope) {
			healthy(s)
			s.fail(v1alpha1.ConditionApplied, refusals{
				errors.New("timed out"), &objectError{"applying", "Service shop-flash", errNameTaken},
			})
		},
		ready: "False/NameTaken", applied: "False/NameTaken", stalled: "True/NameTaken",
		going: "False/AsExpected", observed: 1,
	},
	"the pools cannot be read": {
		found: func(s *scope) { healthy(s); s.fail(v1alpha1.ConditionProgressing, errors.New("timed out")) },
		ready: "False/ApplyFailed", applied: "True/Applied", stalled: "False/AsExpected", going: "True/ApplyFailed",
		observed: 1,
	},
	"the migrations cannot be listed, and nothing is to be migrated": {
		found: func(s *scope) { healthy(s); s.fail(v1alpha1.ConditionMigrated, errors.New("timed out")) },
		ready: "False/ApplyFailed", applied: "True/Applied", stalled: "False/AsExpected", going: "True/ApplyFailed",
		observed: 1,
	},
	"paused before a migration": {
		paused: true,
		found: func(s *scope) {
			healthy(s)
			s.migrated, s.differs = false, []string{"standard", "flash", "worker"}
			s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonPaused, "not started")
		},
		ready: "Unknown/Paused", applied: "Unknown/Paused", stalled: "False/AsExpected", going: "False/Paused", observed: 1,
	},
	"a Secret is missing": {
		found: func(s *scope) { healthy(s); s.miss("sandbox", "") },
		ready: "False/SecretNotFound", applied: "False/SecretNotFound", stalled: "True/SecretNotFound",
		going: "False/AsExpected", observed: 1,
	},
	"the configuration is refused": {
		found: func(s *scope) { healthy(s); s.migrated, s.invalid = false, "x: must be set" },
		ready: "False/ConfigInvalid", applied: "False/ConfigInvalid", stalled: "True/ConfigInvalid",
		going: "False/AsExpected", observed: 1,
	},
	"the migration runs": {
		found: func(s *scope) {
			healthy(s)
			s.migrated = false
			s.report.False(v1alpha1.ConditionMigrated, v1alpha1.ReasonMigrationRunning, "running")
		},
		ready: "False/MigrationRunning", applied: "False/WaitingForMigration", stalled: "False/AsExpected",
		going: "True/MigrationRunning", observed: 1,
	},
	"the password is wrong": {
		found: func(s *scope) {
			healthy(s)
			s.report.False(v1alpha1.ConditionDatabaseReady, v1alpha1.ReasonAccessDenied, "no")
		},
		ready: "False/AccessDenied", applied: "True/Applied", stalled: "True/AccessDenied", going: "False/AsExpected",
		observed: 2,
	},
	"an image cannot be pulled": {
		found: pull,
		ready: "False/ImagePullBackOff", applied: "True/Applied", stalled: "True/ImagePullBackOff", going: "False/AsExpected",
		observed: 2,
	},
	"paused, and nothing to do": {
		paused: true, found: healthy,
		ready: "True/AllReady", applied: "True/Applied", stalled: "False/AsExpected", going: "False/Paused", observed: 2,
	},
	"paused, and pods are gone": {
		paused: true, found: pull,
		ready: "False/ImagePullBackOff", applied: "True/Applied", stalled: "True/ImagePullBackOff", going: "False/Paused",
		observed: 2,
	},
	"paused, and the spec asks for more": {
		paused: true, found: func(s *scope) { healthy(s); s.differs = []string{"flash"} },
		ready: "Unknown/Paused", applied: "Unknown/Paused", stalled: "False/AsExpected", going: "False/Paused", observed: 1,
	},
}

func TestTheConditionsSayWhatWasFound(t *testing.T) {
	for name, tt := range summaryCases {
		t.Run(name, func(t *testing.T) {
			c := cluster()
			c.Spec.Paused = ptr.To(tt.paused)
			s := testScope(c)
			tt.found(s)
			s.summarize()
			got := map[string]string{}
			for _, c := range c.Status.Conditions {
				got[c.Type] = string(c.Status) + "/" + c.Reason
			}
			for _, condition := range []string{
				v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady, v1alpha1.ConditionMigrated,
				v1alpha1.ConditionProgressing,
			} {
				delete(got, condition)
			}
			want := map[string]string{
				v1alpha1.ConditionReady: tt.ready, v1alpha1.ConditionApplied: tt.applied,
				v1alpha1.ConditionStalled: tt.stalled, v1alpha1.ConditionReconciling: tt.going,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if c.Status.ObservedGeneration != tt.observed {
				t.Errorf("observedGeneration is %d, want %d", c.Status.ObservedGeneration, tt.observed)
			}
		})
	}
}
