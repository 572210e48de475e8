package ordercluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
)

// applyTimeout bounds the apply of one object, so that one that hangs does not keep the others back for long.
const applyTimeout = 10 * time.Second

// errNameTaken says that an object of the name is there, and is somebody else's.
var errNameTaken = errors.New("it is there, and does not belong to this OrderCluster: " +
	"it is left as it is; delete it, or give the OrderCluster another name")

// errMadeAnew says that the object is not the one that was looked at: the cache was old, and will not be for long.
var errMadeAnew = errors.New("it was made anew in this moment")

// objectError says which object the API server did not take.
type objectError struct {
	// doing is what was tried, and object the kind and name of what.
	doing, object string
	err           error
}

func (e *objectError) Error() string { return e.doing + " " + e.object + ": " + e.err.Error() }

func (e *objectError) Unwrap() error { return e.err }

// refusals are several objects that the API server did not take.
type refusals []error

func (e refusals) Error() string { return errors.Join(e...).Error() }

func (e refusals) Unwrap() []error { return e }

// apply sends each object that is not known to be as it should be. One that is refused keeps none of the others back.
func (r *Reconciler) apply(ctx context.Context, s *scope, objects ...runtime.ApplyConfiguration) error {
	var failed refusals
	for _, o := range objects {
		u, err := unstructuredOf(o)
		if err != nil {
			return err
		}
		object := u.GetKind() + " " + u.GetName()
		if err := r.applyOne(ctx, s.cluster, u); err != nil {
			failed = append(failed, &objectError{"applying", object, err})
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (r *Reconciler) applyOne(ctx context.Context, c *v1alpha1.OrderCluster, u *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	live, err := r.live(ctx, u)
	if err != nil {
		return err
	}
	hash := hashOf(u)
	options := []client.ApplyOption{report.FieldOwner}
	if live != nil {
		if !metav1.IsControlledBy(live, c) {
			return errNameTaken
		}
		if r.applied.has(client.ObjectKeyFromObject(c), u, hash, live) {
			return nil
		}
		// With the UID in it the apply is refused for an object of the same name that was made since.
		u.SetUID(live.GetUID())
		options = append(options, client.ForceOwnership)
	}
	// Without force, what somebody makes at this moment under the same name is not overwritten.
	if err := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...); err != nil {
		return otherUID(err)
	}
	// The answer is the object as it is now.
	r.applied.put(client.ObjectKeyFromObject(c), u, hash)
	return nil
}

// otherUID is errMadeAnew if the API server refused nothing but the UID.
func otherUID(err error) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) || answer.Status().Details == nil {
		return err
	}
	for _, cause := range answer.Status().Details.Causes {
		if cause.Field == "metadata.uid" {
			return errMadeAnew
		}
	}
	return err
}

// live is the object as it is, of which only the metadata is to be used; nil if there is none. The cache has the
// operator's own objects, so the API server is asked only about what is not known to be one.
func (r *Reconciler) live(ctx context.Context, u *unstructured.Unstructured) (client.Object, error) {
	key, gvk := client.ObjectKeyFromObject(u), u.GroupVersionKind()
	// Secrets are kept in no cache.
	if gvk.Kind != "Secret" {
		typed, err := r.Client.Scheme().New(gvk)
		if err != nil {
			return nil, fmt.Errorf("looking for %s %s: %w", gvk.Kind, key.Name, err)
		}
		o := typed.(client.Object)
		if err := r.Client.Get(ctx, key, o); err == nil || !apierrors.IsNotFound(err) {
			return o, err
		}
	}
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(gvk)
	err := r.Reader.Get(ctx, key, o)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// labelled reports whether an object has all of the labels.
func labelled(o metav1.Object, want map[string]string) bool {
	for key, value := range want {
		if have, ok := o.GetLabels()[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// unstructuredOf is the object as it is sent.
func unstructuredOf(o runtime.ApplyConfiguration) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("rendering %T: %w", o, err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("rendering %T: %w", o, err)
	}
	return u, nil
}

// refusal says in a condition's words why something failed.
func refusal(err error) (reason, words string) {
	if errors.Is(err, errNameTaken) {
		return v1alpha1.ReasonNameTaken, errNameTaken.Error()
	}
	if errors.Is(err, errMadeAnew) {
		return v1alpha1.ReasonApplyFailed, errMadeAnew.Error()
	}
	return report.Refusal(err)
}

// problems are a phase's error, one for each object that it could not apply.
func problems(err error) []report.Problem {
	var list refusals
	if errors.As(err, &list) {
		var all []report.Problem
		for _, one := range list {
			all = append(all, problems(one)...)
		}
		return all
	}
	reason, words := refusal(err)
	p := report.Problem{Reason: reason, Action: "Read", Text: err.Error()}
	var object *objectError
	if errors.As(err, &object) {
		p.Action, p.Text = action("Apply", object.object), object.object+": "+words
	}
	p.Key = p.Text
	return []report.Problem{p}
}

// action of an event about one object or pool.
func action(doing, what string) string {
	const longest = 128
	text := doing + " " + what
	return text[:min(len(text), longest)]
}
