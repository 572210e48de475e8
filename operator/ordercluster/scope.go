package ordercluster

import (
	"time"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
)

// scope is what one reconcile knows of one OrderCluster.
type scope struct {
	cluster *v1alpha1.OrderCluster
	before  v1alpha1.OrderClusterStatus
	now     time.Time
	report  *report.Report
	// next is when to look again at the latest; zero: when something changes.
	next time.Duration

	// config is the rendered configuration, revision what it migrates to, secretVersions the
	// versions of the Secrets.
	config         string
	revision       string
	secretVersions []string
	// missingSecrets says which Secrets or keys the pods need and do not have.
	missingSecrets []string

	databaseReady  bool
	messagingReady bool
	// migrated: the database is at the revision. orderIDKey is what the pools' Secret has;
	// empty: there is none yet.
	migrated   bool
	orderIDKey string
	promotions []v1alpha1.PromotionEvent
	// desired is how many pods each pool should have, and configHash what they
	// should be started with.
	desired       map[string]int32
	configHash    string
	poolsReady    bool
	poolsProblems []string
}

func newScope(c *v1alpha1.OrderCluster, now time.Time) *scope {
	return &scope{
		cluster: c, before: *c.Status.DeepCopy(), now: now,
		report: report.New(c, kind, now), desired: map[string]int32{},
	}
}

// within asks to be reconciled again in d at the latest.
func (s *scope) within(d time.Duration) {
	if s.next == 0 || d < s.next {
		s.next = max(d, time.Millisecond)
	}
}
