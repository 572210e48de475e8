package ordercluster

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
)

// scope is what one reconcile knows of one OrderCluster.
type scope struct {
	cluster *v1alpha1.OrderCluster
	before  v1alpha1.OrderClusterStatus
	now     time.Time
	// saleNow is JetStream's time, by which sales go; the operator's own unless clocked.
	saleNow time.Time
	clocked bool
	report  *report.Report
	// next is when to look again at the latest; zero: when something changes.
	next time.Duration

	// config is what a migration is configured with, revision what it migrates to, and material what
	// pods mount. Empty: they are not known.
	config   string
	revision string
	material *specs.Material
	// invalid says why pods would not start with the configuration; missing which Secrets or keys
	// the pods need and do not have.
	invalid string
	missing []missingSecret

	// handset is what an administrator has set of streams so that they do not hold what orderd promises.
	handset []string

	databaseReady bool
	// migrated: the database is at the revision. orderIDKey is what the pools' Secret has;
	// empty: there is none yet.
	migrated   bool
	orderIDKey string
	// promotions that name the OrderCluster; nil, and not counted: they could not be read.
	promotions []v1alpha1.PromotionEvent
	counted    bool
	// desired is how many pods each pool should have, and starts what they should be started with;
	// none: it is not known. holds are why some are not replaced now.
	desired map[string]int32
	starts  map[string]specs.Start
	holds   map[string]*hold
	// needed is how many flash pods the sales of the moment need, and nextNeed when that changes.
	needed   int32
	nextNeed time.Time
	// failed is what the API server did not take or answer, for the conditions that are set last.
	failed map[string][]report.Problem
	// told is what other conditions have told by an event.
	told []report.Problem
	// incomplete: a phase failed, so the status is not all that is to be known of this generation.
	incomplete bool
	// differs names what is not as the spec asks for, and stays so because of spec.paused.
	differs []string
	// unready are the pools that are not as they should be, those first that Kubernetes says why of.
	unready []report.Problem
	// pods are all of the OrderCluster's; nil: not read yet.
	pods *corev1.PodList
}

// missingSecret is a Secret, or a key of one, that pods mount.
type missingSecret struct{ name, reason, text string }

func newScope(c *v1alpha1.OrderCluster, now time.Time) *scope {
	before := *c.Status.DeepCopy()
	c.Status.UID = string(c.UID)
	return &scope{
		cluster: c, before: before, now: now, saleNow: now,
		report: report.New(c, kind, now), desired: map[string]int32{}, starts: map[string]specs.Start{},
		holds: map[string]*hold{}, failed: map[string][]report.Problem{},
	}
}

// fail tells a phase's error by its condition.
func (s *scope) fail(condition string, err error) {
	s.incomplete = true
	found := problems(err)
	switch condition {
	case v1alpha1.ConditionApplied, v1alpha1.ConditionProgressing:
		// Several phases apply; these conditions are set when all have.
		s.failed[condition] = append(s.failed[condition], found...)
	default:
		s.report.Fail(condition, untold(found, s.told)...)
		s.told = append(s.told, found...)
	}
}

// miss notes that pods need what a Secret does not have; an empty key: that there is no such Secret.
func (s *scope) miss(name, key string) {
	m := missingSecret{name, v1alpha1.ReasonSecretNotFound, "Secret " + name + " does not exist"}
	if key != "" {
		m.reason, m.text = v1alpha1.ReasonSecretKeyMissing, "Secret "+name+" has no key "+key+", or it is empty"
	}
	if !slices.Contains(s.missing, m) {
		s.missing = append(s.missing, m)
	}
}

// within asks to be reconciled again in d at the latest.
func (s *scope) within(d time.Duration) {
	if s.next == 0 || d < s.next {
		s.next = max(d, time.Millisecond)
	}
}
