package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	clusterName = "shop"
	// kept is how many of the last steps a failure prints.
	kept = 60
	// longestStep is the longest pause after a step.
	longestStep = 250 * time.Millisecond
)

// walk is the random walk: one step after the other, chosen by the seed.
type walk struct {
	random    *rand.Rand
	kube      client.Client
	gateway   *gateway
	operators []*operator
	places    []*place
	kubelets  []*kubelet
	out       io.Writer
	begun     time.Time
	// patience is how long a place may take to become what a fresh one is.
	patience time.Duration

	// trouble is the fault that is on, if any, and troubleEnds when it ends.
	trouble     func() error
	troubleEnds time.Time
	steps       int
	last        []string
	// databases and messaging are how many connections operators had at once to any place since the checkpoint before.
	databases, messaging int
	// done counts the steps of each kind, and faults those of each fault.
	done, faults map[string]int
}

// action is one kind of step, which is taken as often as its weight says.
type action struct {
	name   string
	weight int
	do     func(*walk, context.Context, *place) (string, error)
}

var actions = []action{
	{"make or edit the OrderCluster", 12, (*walk).cluster},
	{"make or edit a PromotionEvent", 12, (*walk).promotion},
	{"delete a PromotionEvent", 2, (*walk).deletePromotion},
	{"delete the OrderCluster", 1, (*walk).deleteCluster},
	{"change a Secret or ConfigMap", 4, (*walk).material},
	{"foreign hand", 8, (*walk).hand},
	{"buy", 8, (*walk).buy},
	{"fault", 6, (*walk).fault},
}

// step takes one, and waits for a moment.
func (w *walk) step(ctx context.Context) error {
	if w.trouble != nil && time.Now().After(w.troubleEnds) {
		if err := w.endTrouble(); err != nil {
			return err
		}
	}
	if w.trouble == nil {
		if err := w.startOperators(); err != nil {
			return err
		}
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := w.random.IntN(total)
	p := w.places[w.random.IntN(len(w.places))]
	for _, a := range actions {
		if n -= a.weight; n >= 0 {
			continue
		}
		what, err := a.do(w, ctx, p)
		if what != "" {
			w.note(a.name, p.namespace+": "+what, err)
		}
		break
	}
	wait := time.NewTimer(time.Duration(w.random.Int64N(int64(longestStep))))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// note a step for whoever has to find out why the walk failed. Most errors are the API server's, as they should be.
func (w *walk) note(kind, what string, err error) {
	w.steps++
	w.done[kind]++
	line := fmt.Sprintf("%8s  %4d  %s: %s", time.Since(w.begun).Round(time.Millisecond), w.steps, kind, what)
	if err != nil {
		line += " (refused: " + strings.ReplaceAll(err.Error(), "\n", " ") + ")"
	}
	w.last = append(w.last, line)
	if len(w.last) > kept {
		w.last = w.last[1:]
	}
}

// change an object, again if the operator wrote it at the same moment.
func change[T client.Object](ctx context.Context, p *place, name string, o T, do func(T)) error {
	for {
		err := p.kube.Get(ctx, types.NamespacedName{Namespace: p.namespace, Name: name}, o)
		if err != nil {
			return err
		}
		do(o)
		if err = p.kube.Update(ctx, o); !apierrors.IsConflict(err) {
			return err
		}
	}
}

func (w *walk) cluster(ctx context.Context, p *place) (string, error) {
	what := ""
	// The same change again after a conflict.
	seed := w.random.Uint64()
	err := change(ctx, p, clusterName, &v1alpha1.OrderCluster{}, func(c *v1alpha1.OrderCluster) {
		r := rand.New(rand.NewPCG(seed, 0))
		names := []string{editCluster(r, &c.Spec)}
		for r.IntN(3) == 0 {
			names = append(names, editCluster(r, &c.Spec))
		}
		what = "edited " + strings.Join(names, ", ")
	})
	if apierrors.IsNotFound(err) {
		return "made the OrderCluster", p.kube.Create(ctx, newCluster(p))
	}
	return what, err
}

func (w *walk) promotion(ctx context.Context, p *place) (string, error) {
	name, what, seed := promotionName(w.random), "", w.random.Uint64()
	err := change(ctx, p, name, &v1alpha1.PromotionEvent{}, func(promotion *v1alpha1.PromotionEvent) {
		what = name + ": " + editPromotion(rand.New(rand.NewPCG(seed, 0)), &promotion.Spec)
	})
	if apierrors.IsNotFound(err) {
		promotion := newPromotion(w.random, p, name)
		what = fmt.Sprintf("made %s from %s to %s", name, promotion.Spec.StartTime.Format(time.TimeOnly),
			promotion.Spec.EndTime.Format(time.TimeOnly))
		return what, p.kube.Create(ctx, promotion)
	}
	return what, err
}

func (w *walk) deletePromotion(ctx context.Context, p *place) (string, error) {
	promotion := &v1alpha1.PromotionEvent{}
	promotion.Namespace, promotion.Name = p.namespace, promotionName(w.random)
	err := p.kube.Delete(ctx, promotion)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return promotion.Name, err
}

// deleteCluster deletes its promotions as well, most of the time.
func (w *walk) deleteCluster(ctx context.Context, p *place) (string, error) {
	c := &v1alpha1.OrderCluster{}
	c.Namespace, c.Name = p.namespace, clusterName
	err := p.kube.Delete(ctx, c)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if w.random.IntN(4) == 0 {
		return "alone", err
	}
	return "with its promotions", errors.Join(err,
		p.kube.DeleteAllOf(ctx, &v1alpha1.PromotionEvent{}, client.InNamespace(p.namespace)))
}

// buy some units of whatever is on sale.
func (w *walk) buy(ctx context.Context, p *place) (string, error) {
	name, sku := promotionName(w.random), skus[w.random.IntN(len(skus))]
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	placed := 0
	var reason string
	for range 1 + w.random.IntN(5) {
		_, err := p.flash.FlashService().PlaceFlashOrder(ctx, &flashv1.PlaceFlashOrderRequest{
			Promotion: name, BuyerId: fmt.Sprintf("buyer-%d", w.random.Uint64()), RequestId: "1",
			Items: []*flashv1.FlashOrderItem{{Sku: sku, Quantity: 1}},
		})
		if err == nil {
			placed++
		} else if reason = rpcerr.Reason(err); reason == "" {
			reason = err.Error()
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%d of %s in %s %s", placed, sku, name, reason)), nil
}

// summary of the walk so far, for people.
func (w *walk) summary() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(w.faults)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, w.faults[kind]))
	}
	return fmt.Sprintf("%d steps; faults: %s", w.steps, strings.Join(parts, ", "))
}
