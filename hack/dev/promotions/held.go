package promotions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sale/resource"
)

const (
	// retryEvery is how long after a failure a sale is tried again: a person may have put more into
	// stock.
	retryEvery = 2 * time.Second
	// countEvery is how often a live sale is counted.
	countEvery = 2 * time.Second
)

// errMoved says that a change was allowed in a phase that is over.
var errMoved = errors.New("the sale has moved on meanwhile")

// held is one promotion's sale.
type held struct {
	r    *Runner
	name string
	// changed says that there is something new to look at.
	changed chan struct{}
	counts  *sale.Counts
	// told is the generation that has its stock and that the pods know. Only run uses it.
	told int64

	// mu guards promotion, which is the one in the store.
	mu        sync.Mutex
	promotion *v1alpha1.PromotionEvent
}

func newHeld(r *Runner, p *v1alpha1.PromotionEvent) *held {
	return &held{r: r, name: p.Name, changed: make(chan struct{}, 1), counts: &sale.Counts{}, promotion: p}
}

// known is a copy of the promotion.
func (h *held) known() *v1alpha1.PromotionEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.promotion.DeepCopy()
}

// update changes the promotion, in the store first.
func (h *held) update(edit func(*v1alpha1.PromotionEvent)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.promotion.DeepCopy()
	edit(next)
	if err := h.r.store.save(next); err != nil {
		return err
	}
	h.promotion = next
	return nil
}

// change is update for what the sale does not do itself. It fails with errMoved if the sale is in
// another phase by now than in the one that the change was allowed in.
func (h *held) change(allowed v1alpha1.PromotionPhase, edit func(*v1alpha1.PromotionEvent)) error {
	moved := false
	err := h.update(func(p *v1alpha1.PromotionEvent) {
		if moved = p.Status.Phase != allowed; !moved {
			edit(p)
		}
	})
	switch {
	case err != nil:
		return err
	case moved:
		return errMoved
	}
	select {
	case h.changed <- struct{}{}:
	default:
	}
	return nil
}

func (h *held) say(format string, args ...any) {
	h.r.o.Say(h.name + ": " + fmt.Sprintf(format, args...))
}

// run does what is due of the sale, again and again, until it is over or ctx ends.
func (h *held) run(ctx context.Context) {
	if phase := h.known().Status.Phase; phase != "" && phase != v1alpha1.PhaseSettled {
		h.say("goes on; it was %s", phase)
	}
	for {
		wait, over, err := h.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if !h.r.complain(h.name, err) {
			wait = retryEvery
		} else if over {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step does what is due, and says when to look again, or that nothing is left to do.
func (h *held) step(ctx context.Context) (wait time.Duration, over bool, err error) {
	p := h.known()
	now := h.r.o.Clock()
	switch {
	case p.Status.Phase == v1alpha1.PhaseSettled:
		return h.retain(ctx, p, now)
	case p.Status.Phase != v1alpha1.PhaseDraining && now.Before(p.End()):
		wait, err := h.hold(ctx, p, now)
		return wait, false, err
	default:
		return 0, false, h.settle(ctx, p)
	}
}

func (h *held) saleOf(p *v1alpha1.PromotionEvent) *sale.Sale {
	return sale.New(sale.Options{
		Promotion: resource.Definition(p), Items: resource.Items(p), Database: sale.Opened(h.r.o.Pool),
		JetStream: sale.Opened(h.r.o.JetStream), Replicas: 1, Actor: "dev", Counts: h.counts,
	})
}

// hold prepares the sale, tells the pods what it is now, and counts it while it is live. All of that
// is the same however often it is done.
func (h *held) hold(ctx context.Context, p *v1alpha1.PromotionEvent, now time.Time) (time.Duration, error) {
	if due := p.PrepareTime(); p.Status.Partitions == 0 && now.Before(due) {
		return due.Sub(now), h.enter(p, v1alpha1.PhaseScheduled)
	}
	if p.Status.Partitions == 0 {
		err := h.update(func(p *v1alpha1.PromotionEvent) {
			resource.Plan(&v1alpha1.OrderCluster{}, p)
			p.Status.Phase = v1alpha1.PhaseProvisioning
		})
		return 0, err
	}
	s := h.saleOf(p)
	short, err := h.prepare(ctx, p, s)
	if err != nil {
		return 0, err
	}
	phase, wait := v1alpha1.PhaseReady, p.Spec.StartTime.Sub(now)
	if wait <= 0 {
		phase, wait = v1alpha1.PhaseLive, min(countEvery, p.End().Sub(now))
	}
	if err := h.enter(p, phase); err != nil {
		return 0, err
	}
	if phase == v1alpha1.PhaseLive {
		if err := h.count(ctx, p, s); err != nil {
			return 0, err
		}
	}
	return wait, short
}

// prepare gives the sale its stock and tells the pods of it, unless both was done. An open sale of which
// more is wanted than there is goes on: short says what is missing.
func (h *held) prepare(ctx context.Context, p *v1alpha1.PromotionEvent, s *sale.Sale) (short, err error) {
	if h.told == p.Generation {
		return nil, nil
	}
	if err := (sale.Runner{Sale: s}).Prepare(ctx); isShort(err) {
		short = fmt.Errorf("%w; nothing of them was taken (UpsertSku makes a SKU, AdjustStock adds stock)", err)
	} else if err != nil {
		return nil, err
	}
	if short != nil && p.Status.Phase == v1alpha1.PhaseProvisioning {
		return nil, short
	}
	before, err := s.Publish(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range sale.Changes(before, s.Promotion()) {
		h.say("%s: %s", c.Reason, c.Message)
	}
	if short == nil {
		h.told = p.Generation
	}
	return short, nil
}

// enter a phase, unless the sale is in it.
func (h *held) enter(p *v1alpha1.PromotionEvent, phase v1alpha1.PromotionPhase) error {
	if p.Status.Phase == phase {
		return nil
	}
	if err := h.update(func(p *v1alpha1.PromotionEvent) { p.Status.Phase = phase }); err != nil {
		return err
	}
	switch phase {
	case v1alpha1.PhaseScheduled:
		h.say("scheduled: its stock is taken at %s", p.PrepareTime().Local().Format(time.DateTime))
	case v1alpha1.PhaseReady:
		h.say("ready: %d units of %d items in %d partitions; it starts at %s", units(p), len(p.Spec.Items),
			p.Status.Partitions, p.Spec.StartTime.Local().Format(time.TimeOnly))
	case v1alpha1.PhaseLive:
		h.say("live: it sells until %s", p.End().Local().Format(time.DateTime))
	default:
	}
	return nil
}

func units(p *v1alpha1.PromotionEvent) int64 {
	var sum int64
	for _, item := range p.Spec.Items {
		sum += item.Stock
	}
	return sum
}

// count tells how much is sold, if that changed.
func (h *held) count(ctx context.Context, p *v1alpha1.PromotionEvent, s *sale.Sale) error {
	totals, err := s.Totals(ctx)
	if err != nil {
		return err
	}
	sold, left := sums(totals)
	if p.Status.Sold != nil && *p.Status.Sold == sold && ptr.Deref(p.Status.Left, 0) == left {
		return nil
	}
	h.say("%d sold, %d left", sold, left)
	return h.update(func(p *v1alpha1.PromotionEvent) { p.Status.Sold, p.Status.Left = &sold, &left })
}

func sums(totals []sale.Total) (sold, left int64) {
	for _, t := range totals {
		sold += t.Sold
		left += t.Unsold
	}
	return sold, left
}

// settle closes the sale, proves it and returns what is unsold.
func (h *held) settle(ctx context.Context, p *v1alpha1.PromotionEvent) error {
	s := h.saleOf(p)
	allocation, err := s.Allocated(ctx)
	if err != nil {
		return err
	}
	if p.Status.Partitions == 0 || allocation.Empty() {
		h.say("its end has passed before any stock was taken: there is nothing to settle")
		return h.settled(nil)
	}
	if p.Status.Phase != v1alpha1.PhaseDraining {
		over := func(p *v1alpha1.PromotionEvent) {
			// It may have been extended meanwhile. From now on it may not.
			if !h.r.o.Clock().Before(p.End()) {
				p.Status.Phase = v1alpha1.PhaseDraining
			}
		}
		if err := h.update(over); err != nil {
			return err
		}
		if p = h.known(); p.Status.Phase != v1alpha1.PhaseDraining {
			return nil
		}
		s = h.saleOf(p)
		h.say("ended: orders are being written and stock returned")
	}
	// It may be that it ended between the taking of the stock and the opening of the partitions.
	if err := s.EnsureStreams(ctx); err != nil {
		return err
	}
	if err := s.OpenPartitions(ctx, allocation); err != nil {
		return err
	}
	totals, err := sale.Runner{Sale: s, Clock: h.r.o.Clock}.Settle(ctx)
	if err != nil {
		return err
	}
	for _, t := range totals {
		h.say("%s: of %d units %d sold, %d returned", t.SKU, t.Sold+t.Unsold, t.Sold, t.Unsold)
	}
	sold, left := sums(totals)
	h.say("settled: %d units sold, %d returned to stock, none lost and none sold twice", sold, left)
	return h.settled(totals)
}

func (h *held) settled(totals []sale.Total) error {
	return h.update(func(p *v1alpha1.PromotionEvent) {
		sold, left := sums(totals)
		p.Status.Phase, p.Status.Sold, p.Status.Left = v1alpha1.PhaseSettled, &sold, &left
		p.Status.SettledTime = metav1.NewTime(h.r.o.Clock())
		if totals != nil {
			p.Status.ClosedTime = p.Status.SettledTime
		}
	})
}

// retain removes the log of a settled sale once it need not be kept any longer, and the sale if it was
// deleted.
func (h *held) retain(
	ctx context.Context, p *v1alpha1.PromotionEvent, now time.Time,
) (wait time.Duration, over bool, err error) {
	deleted := !p.DeletionTimestamp.IsZero()
	if !deleted {
		if !p.Status.LogRemovedTime.IsZero() {
			return time.Hour, false, nil
		}
		if until, _ := p.LogKept(); now.Before(until) {
			return until.Sub(now), false, nil
		}
	}
	if p.Status.LogRemovedTime.IsZero() && !p.Status.ClosedTime.IsZero() {
		if err := (sale.Runner{Sale: h.saleOf(p)}).Remove(ctx); err != nil {
			return 0, false, err
		}
		h.say("its log is removed")
		if err := h.update(func(p *v1alpha1.PromotionEvent) { p.Status.LogRemovedTime = metav1.NewTime(now) }); err != nil {
			return 0, false, err
		}
	}
	if deleted {
		return 0, true, h.r.remove(h.name)
	}
	return time.Hour, false, nil
}

// isShort tells whether there is too little stock.
func isShort(err error) bool {
	var insufficient *sale.InsufficientError
	var unknown *sale.UnknownSKUError
	return errors.As(err, &insufficient) || errors.As(err, &unknown)
}
