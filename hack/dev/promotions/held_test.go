package promotions

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// An edit was admitted while the sale was live, and comes when it is being settled.
func TestAChangeCountsOnlyInThePhaseItWasAllowedIn(t *testing.T) {
	r := &Runner{store: store{t.TempDir()}}
	p, err := newSchema(t).Admit(t.Context(), manifestOf(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Status.Phase = v1alpha1.PhaseDraining
	h := newHeld(r, p)
	grow := func(p *v1alpha1.PromotionEvent) { p.Spec.Items[0].Stock++ }
	if err := h.change(v1alpha1.PhaseLive, grow); !errors.Is(err, errMoved) {
		t.Errorf("%v, want %v", err, errMoved)
	}
	if diff := cmp.Diff(p.Spec, h.known().Spec); diff != "" {
		t.Errorf("it was changed all the same: %s", diff)
	}
	if err := h.change(v1alpha1.PhaseDraining, grow); err != nil {
		t.Error(err)
	}
	kept, err := r.store.load()
	if err != nil || len(kept) != 1 || kept[0].Spec.Items[0].Stock != p.Spec.Items[0].Stock+1 {
		t.Errorf("the store has %v, %v", kept, err)
	}
	if len(h.changed) != 1 {
		t.Error("the sale is not told to look")
	}
}
