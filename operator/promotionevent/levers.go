package promotionevent

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// action of an event about a change of the spec. Events of the same action and reason are taken as
// one that happened again, and its words are lost: the generation keeps them apart.
func (s *scope) action(name string) string { return fmt.Sprintf("%s-%d", name, s.promotion.Generation) }

// tell records what the pods were told that they were not told before: each lever of the sale has
// an event and a line in the log. The events do not wait for the status: it may have to be written
// again, and then the pods know the change already.
func (r *Reconciler) tell(s *scope, before, now *flashv1.Promotion) {
	for _, c := range sale.Changes(before, now) {
		r.Recorder.Eventf(s.promotion, nil, corev1.EventTypeNormal, c.Reason, s.action("Change"), "%s",
			report.Note(c.Message))
		r.Log.Info("promotion changed", "namespace", s.promotion.Namespace, "promotionevent", s.promotion.Name, "change",
			c.Reason, "what", c.Message)
	}
}
