package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// pollInterval is how often that is looked at.
	pollInterval = 500 * time.Millisecond
	// closing is how long around its end a sale is not compared.
	closing = 5 * time.Second
)

// state is all of a place that its specs decide, in words that are the same in every place.
type state struct {
	Objects    map[string]map[string]any
	Cluster    *clusterState
	Promotions map[string]promotionState
	// Wrong is what may not stay as it is.
	Wrong []string
}

type clusterState struct {
	Conditions []string
	Pools      []string
	Endpoint   string
	Migrated   string
}

type promotionState struct {
	Conditions []string
	Phase      v1alpha1.PromotionPhase
	Replicas   int32
	Stock      []string
	Told       string
}

// checkpoint ends all faults, waits until each place is what its specs make of a fresh one, and audits it.
func (w *walk) checkpoint(ctx context.Context, base *url.URL) error {
	if err := w.fair(); err != nil {
		return err
	}
	for _, p := range w.places {
		if err := w.settle(ctx, p, base); err != nil {
			return fmt.Errorf("%s: %w", p.namespace, err)
		}
	}
	return nil
}

func (w *walk) settle(ctx context.Context, p *place, base *url.URL) error {
	if err := w.repair(ctx, p); err != nil {
		return err
	}
	fresh, err := w.fresh(ctx, p, base)
	if fresh != nil {
		defer fresh.stop()
	}
	if err != nil {
		return fmt.Errorf("making a fresh one: %w", err)
	}
	k := playKubelet(fresh)
	defer k.stop()
	if err := w.compare(ctx, p, fresh); err != nil {
		return err
	}
	if err := w.removed(ctx, fresh); err != nil {
		return fmt.Errorf("deleting the fresh one: %w", err)
	}
	w.connected(fresh)
	return nil
}

// repair makes the specs such that all of them can be done, as people would.
func (w *walk) repair(ctx context.Context, p *place) error {
	if err := p.provide(ctx); err != nil {
		return err
	}
	c := &v1alpha1.OrderCluster{}
	err := change(ctx, p, clusterName, c, func(c *v1alpha1.OrderCluster) { mend(p, &c.Spec) })
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil && !c.DeletionTimestamp.IsZero() {
		err = p.kube.DeleteAllOf(ctx, &v1alpha1.PromotionEvent{}, client.InNamespace(p.namespace))
	}
	return err
}

// fresh is a new place with the specs of another one, but for sales that have ended or are about to.
func (w *walk) fresh(ctx context.Context, p *place, base *url.URL) (*place, error) {
	f, err := newPlace(ctx, w.kube, base, p.log)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.provide(ctx), f.stock(ctx), f.sell()); err != nil {
		return f, err
	}
	c := &v1alpha1.OrderCluster{}
	err = p.kube.Get(ctx, types.NamespacedName{Namespace: p.namespace, Name: clusterName}, c)
	if client.IgnoreNotFound(err) != nil {
		return f, err
	}
	if err == nil && c.DeletionTimestamp.IsZero() {
		again := newCluster(f)
		again.Spec = *c.Spec.DeepCopy()
		again.Spec.Messaging.URL = f.messagingURL()
		if err := f.kube.Create(ctx, again); err != nil {
			return f, err
		}
	}
	var list v1alpha1.PromotionEventList
	if err := p.kube.List(ctx, &list, client.InNamespace(p.namespace)); err != nil {
		return f, err
	}
	for i := range list.Items {
		if old := &list.Items[i]; goesOn(old) {
			again := &v1alpha1.PromotionEvent{Spec: *old.Spec.DeepCopy()}
			again.Namespace, again.Name = f.namespace, old.Name
			if err := f.kube.Create(ctx, again); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// goesOn says whether a fresh promotion would become the same: one that is over would never open.
func goesOn(p *v1alpha1.PromotionEvent) bool {
	return p.DeletionTimestamp.IsZero() && time.Until(p.Spec.EndTime.Time) > closing &&
		p.Status.Phase != v1alpha1.PhaseDraining && p.Status.Phase != v1alpha1.PhaseSettled
}

// compare waits until both are the same, and nothing is wrong with either.
func (w *walk) compare(ctx context.Context, p, fresh *place) error {
	deadline := time.Now().Add(w.patience)
	for {
		have, err := stateOf(ctx, p)
		if err != nil {
			return err
		}
		want, err := stateOf(ctx, fresh)
		if err != nil {
			return err
		}
		// A sale that ends meanwhile is compared no more.
		for name := range want.Promotions {
			if _, ok := have.Promotions[name]; !ok {
				delete(want.Promotions, name)
			}
		}
		for name := range have.Promotions {
			if _, ok := want.Promotions[name]; !ok {
				delete(have.Promotions, name)
			}
		}
		wrong, err := audit(ctx, p)
		if err != nil {
			return err
		}
		wrong = append(wrong, have.Wrong...)
		wrong = append(wrong, p.unneeded(have.Cluster != nil)...)
		have.Wrong, want.Wrong = nil, nil
		diff := cmp.Diff(want, have)
		if diff == "" && len(wrong) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s it is not what its specs make of a fresh one (-fresh, +this one):\n%s\nwrong: %s",
				w.patience, diff, strings.Join(wrong, "\n       "))
		}
		if err := errors.Join(w.startOperators(), pause(ctx, pollInterval)); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func stateOf(ctx context.Context, p *place) (state, error) {
	s := state{Objects: map[string]map[string]any{}, Promotions: map[string]promotionState{}}
	c := &v1alpha1.OrderCluster{}
	err := p.kube.Get(ctx, types.NamespacedName{Namespace: p.namespace, Name: clusterName}, c)
	if client.IgnoreNotFound(err) != nil {
		return s, err
	}
	if err != nil {
		c = nil
	}
	objects, err := owned(ctx, p)
	if err != nil {
		return s, err
	}
	for _, o := range objects {
		if err := s.add(p, o, c); err != nil {
			return s, err
		}
	}
	if c != nil {
		s.addCluster(p, c)
	}
	var list v1alpha1.PromotionEventList
	if err := p.kube.List(ctx, &list, client.InNamespace(p.namespace)); err != nil {
		return s, err
	}
	for i := range list.Items {
		if err := s.addPromotion(ctx, p, &list.Items[i]); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *state) wrong(format string, args ...any) {
	s.Wrong = append(s.Wrong, fmt.Sprintf(format, args...))
}

func (s *state) add(p *place, o unstructured.Unstructured, c *v1alpha1.OrderCluster) error {
	what := o.GetKind() + " " + o.GetName()
	owner := metav1.GetControllerOf(&o)
	if c == nil || owner == nil || owner.UID != c.UID {
		s.wrong("%s belongs to nobody", what)
	}
	if revision := o.GetLabels()["orderd.dev/revision"]; c != nil && revision != "" {
		if revision != c.Status.Migration.Revision {
			s.wrong("%s is of another revision than %s", what, c.Status.Migration.Revision)
		}
	}
	object, err := normal(p, o, c)
	if object != nil {
		key := o.GetKind() + " " + neutral(p, o.GetName())
		if _, twice := s.Objects[key]; twice {
			s.wrong("there is more than one %s", key)
		}
		s.Objects[key] = object
	}
	return err
}

func (s *state) addCluster(p *place, c *v1alpha1.OrderCluster) {
	if c.Status.ObservedGeneration != c.Generation {
		s.wrong("OrderCluster: generation %d is observed, of %d", c.Status.ObservedGeneration, c.Generation)
	}
	if !c.DeletionTimestamp.IsZero() {
		s.wrong("the OrderCluster is still being deleted")
	}
	out := &clusterState{
		Migrated: c.Status.Migration.Image, Endpoint: neutral(p, c.Status.Endpoint+" "+c.Status.FlashEndpoint),
	}
	for _, one := range c.Status.Conditions {
		out.Conditions = append(out.Conditions,
			neutral(p, fmt.Sprintf("%s=%s %s: %s", one.Type, one.Status, one.Reason, one.Message)))
		if one.ObservedGeneration > c.Generation {
			s.wrong("condition %s is of a generation that is not there yet", one.Type)
		}
		if one.Type == v1alpha1.ConditionReady && one.Status != metav1.ConditionTrue {
			s.wrong("the OrderCluster is not ready: %s: %s", one.Reason, one.Message)
		}
	}
	slices.Sort(out.Conditions)
	for _, pool := range c.Status.Pools {
		if c.ScaledBy(pool.Name) == "" {
			out.Pools = append(out.Pools, fmt.Sprintf("%s: %d of %d available, %d updated", pool.Name,
				ptr.Deref(pool.Available, -1), ptr.Deref(pool.Desired, -1), ptr.Deref(pool.Updated, -1)))
		}
	}
	s.Cluster = out
}

func (s *state) addPromotion(ctx context.Context, p *place, promotion *v1alpha1.PromotionEvent) error {
	name, st := promotion.Name, promotion.Status
	settled := ""
	for _, c := range st.Conditions {
		if c.Type == v1alpha1.ConditionInvariantViolated && c.Status == metav1.ConditionTrue {
			s.wrong("%s: %s", name, c.Message)
		}
		if c.Type == v1alpha1.ConditionSettled {
			settled = string(c.Status)
		}
	}
	switch {
	case !promotion.DeletionTimestamp.IsZero():
		s.wrong("%s is still being deleted", name)
		return nil
	case st.ObservedGeneration != promotion.Generation:
		s.wrong("%s: generation %d is observed, of %d", name, st.ObservedGeneration, promotion.Generation)
	}
	if !goesOn(promotion) {
		late := time.Since(promotion.Spec.EndTime.Time) > closing
		if late && settled != "True" && st.Phase != v1alpha1.PhasePending {
			s.wrong("%s ended at %s and is not settled", name, promotion.Spec.EndTime.Format(time.TimeOnly))
		}
		return nil
	}
	out := promotionState{Phase: st.Phase, Replicas: st.Replicas}
	for _, c := range st.Conditions {
		// Whether it was late depends on when it was made; figures and times are in other messages.
		if c.Type != v1alpha1.ConditionLate {
			out.Conditions = append(out.Conditions, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
		}
	}
	slices.Sort(out.Conditions)
	for _, item := range st.Items {
		out.Stock = append(out.Stock, fmt.Sprintf("%d of %s", ptr.Deref(item.Allocated, 0), item.SKU))
	}
	told, err := p.told(ctx, promotion)
	if err != nil {
		return err
	}
	out.Told = words(told)
	s.Promotions[name] = out
	return nil
}

// words of what pods were told of a promotion, without what is its own or was fixed when it was planned.
func words(told *flashv1.Promotion) string {
	if told == nil {
		return ""
	}
	without(told, "uid", "streams", "partitions", "top_ups", "made_unix_ms", "generation")
	for _, item := range told.GetItems() {
		without(item, "stream")
	}
	return strings.Join(strings.Fields(told.String()), " ")
}

func without(m proto.Message, fields ...protoreflect.Name) {
	r := m.ProtoReflect()
	for _, name := range fields {
		if field := r.Descriptor().Fields().ByName(name); field != nil {
			r.Clear(field)
		}
	}
}

// removed deletes all resources of a place, and waits until nothing is left of them.
func (w *walk) removed(ctx context.Context, p *place) error {
	c := &v1alpha1.OrderCluster{}
	c.Namespace, c.Name = p.namespace, clusterName
	if err := errors.Join(client.IgnoreNotFound(p.kube.Delete(ctx, c)),
		p.kube.DeleteAllOf(ctx, &v1alpha1.PromotionEvent{}, client.InNamespace(p.namespace))); err != nil {
		return err
	}
	deadline := time.Now().Add(w.patience)
	for {
		left, err := p.left(ctx)
		if err == nil && len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("after %s these are left: %s", w.patience, strings.Join(left, ", ")), err)
		}
		if err := errors.Join(w.startOperators(), pause(ctx, pollInterval)); err != nil {
			return err
		}
	}
}
