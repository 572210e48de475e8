package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// adoptable is what names a PromotionEvent in subjects, streams and keys.
var adoptable = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// adopt lets a promotion go on in the place of one of its name that is gone, if its annotation says so. What was fixed
// of that one's partitions is what the pods were told; it is in the status before anything is done with it.
func (r *Reconciler) adopt(ctx context.Context, s *scope) (bool, error) {
	former := s.promotion.Annotations[v1alpha1.AnnotationAdopts]
	st := &s.promotion.Status
	if former == "" || former == s.uid() || st.Adopted != "" || s.report.Is(v1alpha1.ConditionStockAllocated) {
		return false, nil
	}
	refuse := func(why string) (bool, error) {
		if s.deleted() || s.ended() {
			// It is over, and has nothing to settle but what it took itself.
			return false, nil
		}
		r.notAdopted(s, why)
		return true, nil
	}
	if !adoptable.MatchString(former) {
		return refuse("it is no UID of a PromotionEvent")
	}
	as := s.promotion.DeepCopy()
	as.Status.Adopted = former
	told, err := r.saleOf(s, as).Adopt(ctx)
	var other *sale.NotHeldError
	switch {
	case errors.As(err, &other) && other.Holder == s.uid():
		// It has taken its own stock already.
		return false, nil
	case errors.As(err, &other), errors.Is(err, sale.ErrLogGone), errors.Is(err, sale.ErrUntold):
		return refuse(err.Error())
	case err != nil:
		r.warn(s, "adopting a promotion", err)
		s.report.False(v1alpha1.ConditionStockAllocated, v1alpha1.ReasonDatabaseError, "%s", databaseProblem(err))
		r.retry(s)
		return true, nil
	}
	if differs := differences(s.promotion, told); len(differs) > 0 {
		return refuse("what the pods were told last of it differs, and has to be in the spec first: " + report.Few(differs))
	}
	st.Adopted = former
	// Not yet told: it is planned as a new one is.
	st.Partitions = told.GetPartitions()
	if told != nil {
		st.Streams = int32(len(told.GetStreams()))
		st.Items = nil
		for _, item := range told.GetItems() {
			st.Items = append(st.Items, v1alpha1.PromotionItemStatus{SKU: item.GetSku(), Stream: ptr.To(item.GetStream())})
		}
	}
	s.report.Normal("Adopted", "Provision", "goes on with the stock, the orders and the log of UID %s", former)
	s.within(time.Millisecond)
	return true, nil
}

// differences between the spec and what the pods were told, for people: of what cannot be changed any more, and of what
// was changed since the spec was written, so that an old one does not open what was paused or end what was extended.
// None if they were told nothing.
func differences(p *v1alpha1.PromotionEvent, told *flashv1.Promotion) []string {
	if told == nil {
		return nil
	}
	var found []string
	tell := func(differs bool, format string, args ...any) {
		if differs {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	text := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	tell(p.Spec.Currency != told.GetCurrency(), "its currency is %s", told.GetCurrency())
	tell(p.Spec.StartTime.UnixMilli() != told.GetStartUnixMs(), "its startTime is %s", text(told.GetStartUnixMs()))
	tell(p.Spec.EndTime.UnixMilli() != told.GetEndUnixMs(), "its endTime is %s", text(told.GetEndUnixMs()))
	tell(told.GetPaused() && !p.IsPaused(), "it is paused")
	tell(told.GetMadeUnixMs() > p.CreationTimestamp.UnixMilli(),
		"it was made later, at %s, so that this one has to be made again after that", text(told.GetMadeUnixMs()))
	had := map[string]*flashv1.PromotedItem{}
	for _, item := range told.GetItems() {
		had[item.GetSku()] = item
	}
	for _, item := range p.Spec.Items {
		of, limit, known := had[item.SKU], item.Limit(), had[item.SKU] != nil
		tell(!known, "it has no %s", item.SKU)
		tell(known && of.GetUnitPrice() != item.UnitPrice(), "its price of %s is %d", item.SKU, of.GetUnitPrice())
		tell(known && of.GetOff() && !item.IsOff(), "its %s is off", item.SKU)
		tell(known && of.GetLimitPerBuyer() > 0 && (limit == 0 || limit > of.GetLimitPerBuyer()),
			"its limit of %s is %d", item.SKU, of.GetLimitPerBuyer())
		delete(had, item.SKU)
	}
	var missing []string
	for sku := range had {
		missing = append(missing, "it has "+sku)
	}
	slices.Sort(missing)
	return append(found, missing...)
}

func (r *Reconciler) notAdopted(s *scope, why string) {
	r.notAllocated(s, v1alpha1.ReasonAdoptionRefused, fmt.Sprintf("annotation %s=%s: %s; nothing was taken",
		v1alpha1.AnnotationAdopts, s.promotion.Annotations[v1alpha1.AnnotationAdopts], why))
}

// heldBy says who has the stock of this promotion's name, and what a person can do.
func (s *scope) heldBy(uid string) string {
	return strings.Join([]string{
		"PromotionEvent " + s.promotion.Name + " of UID " + uid + " took stock and has not returned it, as after a restore" +
			" from a backup or without its finalizer; nothing was taken. Unless it runs elsewhere, this one goes on in its" +
			" place, with its stock, orders and log, by:",
		"kubectl annotate -n", s.promotion.Namespace, "promotionevent", s.promotion.Name,
		v1alpha1.AnnotationAdopts + "=" + uid,
	}, " ")
}
