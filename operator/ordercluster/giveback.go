package ordercluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/report"
)

// giveBackTimeout is how long a deleted OrderCluster waits for a NATS that does not answer, from the first try on.
const giveBackTimeout = 30 * time.Second

// giveBack gives the NATS account back before a deleted OrderCluster goes, so that whoever comes next has it without
// taking it over. One whose NATS is gone, or cannot be logged in to any more, is not held by that for long.
func (r *Reconciler) giveBack(ctx context.Context, c *v1alpha1.OrderCluster) error {
	err := r.Backends.Release(ctx, c)
	if err == nil {
		r.givingBack.Delete(c.UID)
		return nil
	}
	first, _ := r.givingBack.LoadOrStore(c.UID, r.Clock())
	began, _ := first.(time.Time)
	var problem *backends.Error
	answered := errors.As(err, &problem) && problem.Reason != v1alpha1.ReasonUnreachable &&
		problem.Reason != v1alpha1.ReasonJetStreamUnavailable
	if !answered && r.Clock().Sub(began) < giveBackTimeout {
		return fmt.Errorf("giving the NATS account back: %w", err)
	}
	r.givingBack.Delete(c.UID)
	message := fmt.Sprintf("the NATS account was not given back (%s): whoever gets it next has to take it over by the"+
		" annotation %s=%s", err, v1alpha1.AnnotationTakeAccount, c.UID)
	r.Log.Warn(message, "namespace", c.Namespace, "ordercluster", c.Name)
	r.Recorder.Eventf(c, nil, corev1.EventTypeWarning, "AccountKept", "Delete", "%s", report.Note(message))
	return nil
}
