// Package report is how a controller says what it found: the conditions and figures of an object's
// status, written by one server-side apply, and events that are sent once that apply has succeeded.
package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// applyTimeout bounds the write of a status.
const applyTimeout = 10 * time.Second

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
	// before are the conditions as they were when the reconcile began.
	before []metav1.Condition
	events []event
}

type event struct{ kind, reason, action, note string }

// Problem is one of those that a condition names.
type Problem struct {
	// Reason of the condition and of the event.
	Reason string
	// Action of the event: what could not be done. Events of the same reason and action are taken as one that
	// happened again, and the later one's words are lost: the action keeps different problems apart. Empty: no event.
	Action string
	// Key is a part of Text that stays while the problem is the same.
	Key string
	// Text is for people, in the words of whoever refused.
	Text string
}

// New returns an empty report about the object of this kind, at the given time.
func New(object Object, kind string, now time.Time) *Report {
	return &Report{object: object, kind: kind, now: now, before: slices.Clone(*object.GetConditions())}
}

// At is when what is found from here on was found, for the conditions' times.
func (r *Report) At(now time.Time) { r.now = now }

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
	meta.SetStatusCondition(r.object.GetConditions(), metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: cut(fmt.Sprintf(format, args...), maxMessage),
		ObservedGeneration: r.object.GetGeneration(), LastTransitionTime: metav1.NewTime(r.now),
	})
	return changed
}

// Fail sets a condition to False for the reason of the first of the problems, in the words of all, and tells each by an
// event that the condition did not name before.
func (r *Report) Fail(condition string, problems ...Problem) {
	before := r.Before(condition)
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.Text
		if p.Action == "" {
			continue
		}
		if before == nil || before.Status != metav1.ConditionFalse || !strings.Contains(before.Message, p.Key) {
			r.Warning(p.Reason, p.Action, "%s", p.Text)
		}
	}
	r.False(condition, problems[0].Reason, "%s", strings.Join(texts, "; "))
}

// Before returns the condition as it was when the reconcile began, or nil.
func (r *Report) Before(condition string) *metav1.Condition {
	return meta.FindStatusCondition(r.before, condition)
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
	r.add(corev1.EventTypeNormal, reason, action, fmt.Sprintf(format, args...))
}

// Warning adds an event for people: something has to be looked at.
func (r *Report) Warning(reason, action, format string, args ...any) {
	r.add(corev1.EventTypeWarning, reason, action, fmt.Sprintf(format, args...))
}

func (r *Report) add(kind, reason, action, note string) {
	r.events = append(r.events, event{kind, reason, action, Note(note)})
}

// Warned reports whether a warning was added.
func (r *Report) Warned() bool {
	return slices.ContainsFunc(r.events, func(e event) bool { return e.kind == corev1.EventTypeWarning })
}

// Apply writes the status unless it is as before, and then sends the events. The object's UID and
// resource version go with it: an object that was deleted or changed meanwhile is left alone, and the
// API server's conflict is returned. A reconcile that ran out of its time is still told of.
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
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
		defer cancel()
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
