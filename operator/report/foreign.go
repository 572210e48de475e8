package report

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Forgetful is an [Object] that knows whom its status is about.
type Forgetful interface {
	Object
	HasForeignStatus() bool
	ClearStatus()
}

// Forget empties a status that is about another UID, and tells so by an event: what it says was done was done for that
// one. It is written at once, and by a patch: whoever restored the status owns its fields, which an apply would leave
// there. The API server's conflict is returned if the object was changed meanwhile.
func Forget(ctx context.Context, c client.Client, recorder events.EventRecorder, o Forgetful, of string) error {
	if !o.HasForeignStatus() {
		return nil
	}
	before := o.DeepCopyObject().(client.Object)
	o.ClearStatus()
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, o, patch, FieldOwner); err != nil {
		return fmt.Errorf("forgetting the status of another one under the name %s: %w", o.GetName(), err)
	}
	whose := "UID " + of
	if of == "" {
		whose = "an unknown UID"
	}
	recorder.Eventf(o, nil, corev1.EventTypeWarning, "StatusForgotten", "Reconcile",
		"the status was that of %s, as after a restore from a backup; this one has UID %s, and its own is found out anew",
		whose, o.GetUID())
	return nil
}
