package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sale/capacity"
	"github.com/orderd-dev/orderd/orderd/sale/resource"
)

// schedule stops here while it is too early to take anything. A promotion that has taken something keeps it, wherever
// its start is moved.
func (r *Reconciler) schedule(_ context.Context, s *scope) (bool, error) {
	due := s.promotion.PrepareTime()
	if s.promotion.Status.Partitions != 0 || s.ended() || s.deleted() || !s.now.Before(due) {
		return false, nil
	}
	from, _ := capacity.Window(s.promotion)
	for condition, at := range map[string]time.Time{
		v1alpha1.ConditionStockAllocated: due, v1alpha1.ConditionPartitionsOpen: due, v1alpha1.ConditionFlashPoolReady: from,
	} {
		s.report.False(condition, v1alpha1.ReasonScheduled, "it is done at %s", at.UTC().Format(time.RFC3339))
	}
	s.promotion.Status.Replicas = capacity.Replicas(s.cluster, s.promotion)
	s.scheduled = true
	s.at(due)
	return true, nil
}

// plan fixes the streams, the items of each, and the number of partitions. They are in the status
// before the first stream is made: what they are computed from may change later, and they must not.
func (r *Reconciler) plan(_ context.Context, s *scope) (bool, error) {
	st := &s.promotion.Status
	st.Replicas = capacity.Replicas(s.cluster, s.promotion)
	if st.Partitions != 0 {
		return false, nil
	}
	resource.Plan(s.cluster, s.promotion)
	s.within(time.Millisecond)
	return true, nil
}

// allocate takes the items' stock from the SKUs' stock in one transaction.
func (r *Reconciler) allocate(ctx context.Context, s *scope) (bool, error) {
	if s.report.Is(v1alpha1.ConditionStockAllocated) {
		return false, nil
	}
	allocate := s.sale.Allocate
	deleting := !s.cluster.DeletionTimestamp.IsZero()
	over := s.ended() || s.deleted()
	if over || deleting {
		// It may have been allocated just before the operator died, but nothing is taken any more.
		allocate = s.sale.Allocated
	}
	allocation, err := allocate(ctx)
	var insufficient *sale.InsufficientError
	var unknown *sale.UnknownSKUError
	var held *sale.HeldError
	switch {
	case err == nil && over && allocation.Empty():
		s.neverOpened()
	case err == nil && deleting && allocation.Empty():
		r.notAllocated(s, v1alpha1.ReasonClusterDeleting, "OrderCluster "+s.cluster.Name+
			" is being deleted, and takes no new promotion; nothing was taken")
	case err == nil:
		s.allocated(allocation.Items())
		return false, nil
	case errors.As(err, &held):
		r.notAllocated(s, v1alpha1.ReasonStockHeld, s.heldBy(held.UID))
	case errors.As(err, &insufficient):
		r.notAllocated(s, v1alpha1.ReasonInsufficientStock, "missing "+unitsOf(insufficient.Missing)+"; nothing was taken")
	case errors.As(err, &unknown):
		r.notAllocated(s, v1alpha1.ReasonUnknownSKU,
			"the catalog does not have "+report.Few(unknown.SKUs)+"; nothing was taken")
	default:
		r.warn(s, "allocating stock", err)
		s.report.False(v1alpha1.ConditionStockAllocated, v1alpha1.ReasonDatabaseError, "%s", databaseProblem(err))
		r.retry(s)
	}
	return true, nil
}

// unitsOf lists quantities for people, the first of many.
func unitsOf(list []sale.Quantity) string {
	var parts []string
	for _, q := range list {
		parts = append(parts, fmt.Sprintf("%d of %s", q.Quantity, q.SKU))
	}
	return report.Few(parts)
}

func (s *scope) allocated(items []sale.Quantity) {
	var totals []sale.Total
	var sum int64
	for _, item := range items {
		sum += item.Quantity
		totals = append(totals, sale.Total{SKU: item.SKU, Allocated: item.Quantity, Unsold: item.Quantity})
	}
	s.figures(totals)
	s.report.True(v1alpha1.ConditionStockAllocated, v1alpha1.ReasonAllocated, "%d units of %d items", sum, len(items))
	s.report.Normal("StockAllocated", "Provision", "%d units of %d items were taken from stock", sum, len(items))
}

// notAllocated waits for a person to put more into stock, which nothing tells the operator about.
func (r *Reconciler) notAllocated(s *scope, reason, message string) {
	before := s.report.Get(v1alpha1.ConditionStockAllocated)
	if before == nil || before.Reason != reason {
		s.report.Warning(reason, "Provision", "%s", message)
	}
	s.report.False(v1alpha1.ConditionStockAllocated, reason, "%s", message)
	s.stall(reason, message)
	r.retry(s)
}

// neverOpened ends a promotion whose window passed before any stock was allocated.
func (s *scope) neverOpened() {
	st := &s.promotion.Status
	st.Sold, st.Left, st.Items = ptr.To[int64](0), ptr.To[int64](0), nil
	st.SettledTime = metav1.NewTime(s.now)
	const message = "the window passed before any stock was allocated: nothing was sold, and there is nothing to settle"
	s.report.False(v1alpha1.ConditionStockAllocated, v1alpha1.ReasonNeverOpened, message)
	s.report.True(v1alpha1.ConditionSettled, v1alpha1.ReasonNeverOpened, message)
	s.report.Warning(v1alpha1.ReasonNeverOpened, "Settle", message)
	s.finished = s.deleted()
}

// open makes the streams and gives every partition its stock shards, once.
func (r *Reconciler) open(ctx context.Context, s *scope) (bool, error) {
	if s.report.Is(v1alpha1.ConditionPartitionsOpen) || !s.promotion.Status.ClosedTime.IsZero() {
		return false, nil
	}
	allocation, err := s.sale.Allocated(ctx)
	if err != nil {
		r.warn(s, "opening the partitions", err)
		s.report.False(v1alpha1.ConditionPartitionsOpen, v1alpha1.ReasonDatabaseError, "%s", databaseProblem(err))
		r.retry(s)
		return true, nil
	}
	err = s.sale.EnsureStreams(ctx)
	if err == nil {
		err = s.sale.OpenPartitions(ctx, allocation)
	}
	if err != nil {
		r.messagingFailed(s, v1alpha1.ConditionPartitionsOpen, "opening the partitions", err)
		return true, nil
	}
	return false, nil
}

// publish tells the pods what the promotion is now. They see a change within a moment.
func (r *Reconciler) publish(ctx context.Context, s *scope) (bool, error) {
	if !s.promotion.Status.ClosedTime.IsZero() {
		return false, nil
	}
	before, err := s.sale.Publish(ctx)
	var older *sale.OlderError
	if errors.As(err, &older) {
		r.outdated(s, older)
		return true, nil
	}
	if err != nil {
		if s.report.Is(v1alpha1.ConditionPartitionsOpen) {
			// The pods have the promotion, only not its latest change: it is as open as before.
			r.warn(s, "publishing the promotion", err)
			s.unpublished = true
			r.retry(s)
			return false, nil
		}
		r.messagingFailed(s, v1alpha1.ConditionPartitionsOpen, "publishing the promotion", err)
		return true, nil
	}
	const opened = "%d partitions have their stock shards"
	if s.report.True(v1alpha1.ConditionPartitionsOpen, v1alpha1.ReasonOpened, opened, s.promotion.Status.Partitions) {
		s.report.Normal("PartitionsOpen", "Provision", opened, s.promotion.Status.Partitions)
	}
	r.tell(s, before, s.sale.Promotion())
	if s.toppedUp {
		if !s.started() {
			s.allocatedMore()
		}
		s.hasStock()
	}
	return false, nil
}

// outdated stops a reconcile whose PromotionEvent is older than what the pods have: nothing may be done by it. Mostly
// it was read before the latest change, and writing the status fails. If it does not, the API server's data went back.
func (r *Reconciler) outdated(s *scope, older *sale.OlderError) {
	r.warn(s, "publishing the promotion", older)
	s.unpublished, s.outdated = true, true
	message := fmt.Sprintf("the pods were told of generation %d, and this is generation %d, as after the API server's"+
		" data was restored from a backup: they keep what they know until the spec has been changed so often that its"+
		" generation is above %d", older.Have, older.Generation, older.Have)
	if before := s.report.Before(v1alpha1.ConditionStalled); before == nil ||
		before.Reason != v1alpha1.ReasonOlderDefinition {
		s.report.Warning(v1alpha1.ReasonOlderDefinition, s.action("Publish"), "%s", message)
	}
	s.stall(v1alpha1.ReasonOlderDefinition, message)
	r.retry(s)
}

// checkCapacity waits for the pods that the OrderCluster's controller scales for this sale.
func (r *Reconciler) checkCapacity(ctx context.Context, s *scope) (bool, error) {
	const condition = v1alpha1.ConditionFlashPoolReady
	if s.ended() {
		s.report.False(condition, v1alpha1.ReasonEnded, "the sale has ended")
		return false, nil
	}
	from, _ := capacity.Window(s.promotion)
	if s.now.Before(from) {
		s.report.False(condition, v1alpha1.ReasonScheduled, "the flash pool is scaled for %d pods at %s",
			s.promotion.Status.Replicas, from.UTC().Format(time.RFC3339))
		s.at(from)
		return false, nil
	}
	needs, err := r.needsOf(ctx, client.ObjectKeyFromObject(s.cluster))
	if err != nil {
		return false, err
	}
	place := needs.Place(s.cluster, s.promotion, s.now)
	desired := place.Before + place.Own
	available := ptr.Deref(s.cluster.PoolStatusOf(v1alpha1.PoolFlash).Available, 0)
	switch {
	case !place.Fits:
		message := fmt.Sprintf("it needs %d flash pods, the sales admitted before it need %d, and OrderCluster %s"+
			" allows %d in all (pools.flash.replicas.max)",
			place.Own, place.Before, s.cluster.Name, s.cluster.MaxFlashReplicas())
		before := s.report.Get(condition)
		if before == nil || before.Reason != v1alpha1.ReasonMaxReplicasReached {
			s.report.Warning(v1alpha1.ReasonMaxReplicasReached, "Scale", "%s", message)
		}
		s.report.False(condition, v1alpha1.ReasonMaxReplicasReached, "%s", message)
		s.stall(v1alpha1.ReasonMaxReplicasReached, message)
	case available < desired && s.cluster.IsPaused():
		s.report.False(condition, v1alpha1.ReasonClusterPaused,
			"%d of %d flash pods are available, and OrderCluster %s is paused: no more are made",
			available, desired, s.cluster.Name)
	case available < desired:
		s.report.False(condition, v1alpha1.ReasonScaling, "%d of %d flash pods are available", available, desired)
	default:
		s.report.True(condition, v1alpha1.ReasonAvailable, "%d flash pods are available", available)
	}
	return false, nil
}

func (r *Reconciler) messagingFailed(s *scope, condition, doing string, err error) {
	r.warn(s, doing, err)
	s.report.False(condition, v1alpha1.ReasonMessagingError, "%s: %s", doing, err)
	r.retry(s)
}

func (r *Reconciler) warn(s *scope, doing string, err error) {
	r.Log.Warn(doing, "namespace", s.promotion.Namespace, "promotionevent", s.promotion.Name, "error", err)
}

// databaseProblem is a condition's message for an error of the database.
func databaseProblem(err error) string {
	if database.ClassOf(err) == database.Reset {
		return "the database does not answer; it is tried again"
	}
	return err.Error()
}
