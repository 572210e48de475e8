// Package report is how a controller says what it found: the conditions and figures of an object's
// status, written by one server-side apply, and events that are sent once that apply has succeeded.
package report

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// FieldOwner of everything that the operator applies.
const FieldOwner = client.FieldOwner("orderd-operator")

// maxMessage is what a condition's message may have, in bytes.
const maxMessage = 32768

// Object is an OrderCluster or a PromotionEvent.
type Object interface {
	client.Object
	GetConditions() *[]metav1.Condition
}

// Report collects what one reconcile found about one object.
type Report struct {
	object Object
	kind   string
	now    time.Time
	events []event
}

type event struct{ kind, reason, action, note string }

// New returns an empty report about the object of this kind, at the given time.
func New(object Object, kind string, now time.Time) *Report {
	return &Report{object: object, kind: kind, now: now}
}

// True sets a condition to True and reports whether it was anything else before.
func (r *Report) True(condition, reason, format string, args ...any) (changed bool) {
	return r.set(condition, metav1.ConditionTrue, reason, format, args...)
}

// False sets a condition to False and reports whether it was anything else before.
func (r *Report) False(condition, reason, format string, args ...any) (changed bool) {
	return r.set(condition, metav1.ConditionFalse, reason, format, args...)
}

// Unknown sets a condition to Unknown and reports whether it was anything else before.
func (r *Report) Unknown(condition, reason, format string, args ...any) (changed bool) {
	return r.set(condition, metav1.ConditionUnknown, reason, format, args...)
}

func (r *Report) set(condition string, status metav1.ConditionStatus, reason, format string, args ...any) bool {
	before := meta.FindStatusCondition(*r.object.GetConditions(), condition)
	changed := before == nil || before.Status != status
	message := fmt.Sprintf(format, args...)
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	meta.SetStatusCondition(r.object.GetConditions(), metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: message,
		ObservedGeneration: r.object.GetGeneration(), LastTransitionTime: metav1.NewTime(r.now),
	})
	return changed
}

// Is reports whether the condition is True.
func (r *Report) Is(condition string) bool {
	return meta.IsStatusConditionTrue(*r.object.GetConditions(), condition)
}

// Get returns the condition, or nil.
func (r *Report) Get(condition string) *metav1.Condition {
	return meta.FindStatusCondition(*r.object.GetConditions(), condition)
}

// Normal adds an event for people: something went its way.
func (r *Report) Normal(reason, action, format string, args ...any) {
	r.events = append(r.events, event{corev1.EventTypeNormal, reason, action, fmt.Sprintf(format, args...)})
}

// Warning adds an event for people: something has to be looked at.
func (r *Report) Warning(reason, action, format string, args ...any) {
	r.events = append(r.events, event{corev1.EventTypeWarning, reason, action, fmt.Sprintf(format, args...)})
}

// Apply writes the status unless it is as before, and then sends the events. The object's UID and
// resource version go with it: an object that was deleted or changed meanwhile is left alone, and the
// API server's conflict is returned.
func (r *Report) Apply(ctx context.Context, c client.Client, recorder events.EventRecorder, before, after any) error {
	if !equality.Semantic.DeepEqual(before, after) {
		status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(after)
		if err != nil {
			return fmt.Errorf("converting the status of %s %s: %w", r.kind, r.object.GetName(), err)
		}
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(),
			"kind":       r.kind,
			"metadata": map[string]any{
				"namespace": r.object.GetNamespace(), "name": r.object.GetName(),
				"uid": string(r.object.GetUID()), "resourceVersion": r.object.GetResourceVersion(),
			},
			"status": status,
		}}
		if err := c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), FieldOwner,
			client.ForceOwnership); err != nil {
			return fmt.Errorf("applying the status of %s %s: %w", r.kind, r.object.GetName(), err)
		}
	}
	for _, e := range r.events {
		recorder.Eventf(r.object, nil, e.kind, e.reason, e.action, "%s", e.note)
	}
	return nil
}
