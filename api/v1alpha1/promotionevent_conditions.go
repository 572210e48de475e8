package v1alpha1

// Conditions of a PromotionEvent, besides ConditionReady: all is as the present phase needs it. Before the start: stock
// allocated, partitions open, flash pool scaled. False while paused after the start, and while draining. True again
// once settled, unless the sale never opened.
const (
	// ConditionReconciling (kstatus): the operator is still working towards Ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled (kstatus): it goes no further by itself, and a person has to act; the reason and message say on
	// what.
	ConditionStalled = "Stalled"
	// ConditionClusterReady: the OrderCluster exists and its database is migrated.
	ConditionClusterReady = "ClusterReady"
	// ConditionStockAllocated: the items' stock was taken from the SKUs' stock.
	ConditionStockAllocated = "StockAllocated"
	// ConditionToppedUp: the sale has all the stock that the spec's items ask for now. False: some could not be added, and
	// the sale goes on without it.
	ConditionToppedUp = "ToppedUp"
	// ConditionPartitionsOpen: every partition has its stock shards, and the pods were told.
	ConditionPartitionsOpen = "PartitionsOpen"
	// ConditionFlashPoolReady: the flash pool serves with the pods that the expected peak needs.
	ConditionFlashPoolReady = "FlashPoolReady"
	// ConditionLate: the promotion is not ready, and startTime - prewarm has passed.
	ConditionLate = "Late"
	// ConditionPaused: spec.paused refuses new orders.
	ConditionPaused = "Paused"
	// ConditionSettled: the unsold stock is back and the result is in the status.
	ConditionSettled = "Settled"
	// ConditionInvariantViolated: allocated is not sold + unsold, or the database and the log disagree on what was sold.
	ConditionInvariantViolated = "InvariantViolated"
)

// Reasons of a PromotionEvent's conditions.
const (
	// ReasonWaitingForCluster of Ready and Reconciling: see ClusterReady.
	ReasonWaitingForCluster = "WaitingForCluster"
	// ReasonProvisioning of Ready and Reconciling: see StockAllocated, PartitionsOpen and FlashPoolReady.
	ReasonProvisioning = "Provisioning"
	// ReasonReadyToStart of Ready: all is prepared.
	ReasonReadyToStart = "ReadyToStart"
	// ReasonSelling of Ready: the sale is live.
	ReasonSelling = "Selling"
	// ReasonDraining of Ready, Reconciling and Settled: the sale has ended and the partitions are being closed.
	ReasonDraining = "Draining"
	// ReasonMaterializing of Settled: accepted orders are still being written to the database.
	ReasonMaterializing = "Materializing"
	// ReasonReleasing of Settled: cancelled or expired orders are still giving their stock back.
	ReasonReleasing = "Releasing"
	// ReasonReturningStock of Settled.
	ReasonReturningStock = "ReturningStock"
	// ReasonSettled of Ready and Settled.
	ReasonSettled = "Settled"
	// ReasonNotEnded of Settled.
	ReasonNotEnded = "NotEnded"
	// ReasonNeverOpened of Settled, StockAllocated, Ready and Stalled: the window passed, or the promotion was deleted,
	// before any stock was allocated.
	ReasonNeverOpened = "NeverOpened"
	// ReasonAsExpected of conditions that are False because nothing is wrong.
	ReasonAsExpected = "AsExpected"

	// ReasonClusterNotFound of ClusterReady: no such OrderCluster in the namespace.
	ReasonClusterNotFound = "NotFound"
	// ReasonClusterNotMigrated of ClusterReady: the OrderCluster's database is not migrated yet.
	ReasonClusterNotMigrated = "NotMigrated"
	// ReasonClusterDeleting of StockAllocated and Stalled: the OrderCluster is being deleted, and takes no new promotion.
	ReasonClusterDeleting = "ClusterDeleting"
	// ReasonClusterPaused of FlashPoolReady: pods are missing, and the OrderCluster's spec.paused keeps them from being
	// made.
	ReasonClusterPaused = "ClusterPaused"
	// ReasonClusterReady of ClusterReady.
	ReasonClusterReady = "ClusterReady"

	// ReasonAllocated of StockAllocated.
	ReasonAllocated = "Allocated"
	// ReasonInsufficientStock of StockAllocated, ToppedUp and Stalled: the message says how much is missing of what.
	// Nothing of those items was taken.
	ReasonInsufficientStock = "InsufficientStock"
	// ReasonUnknownSKU of StockAllocated, ToppedUp and Stalled: the catalog has no such SKU. Nothing was taken.
	ReasonUnknownSKU = "UnknownSKU"
	// ReasonStockHeld of StockAllocated and Stalled: another PromotionEvent of this name took stock, and is gone without
	// having returned it, as after a restore from a backup. Nothing was taken. The message has its UID, and how this one
	// goes on in its place.
	ReasonStockHeld = "StockHeld"
	// ReasonAdoptionRefused of StockAllocated and Stalled: the annotation orderd.dev/adopts names a PromotionEvent that
	// cannot be gone on with; the message says why. Nothing was taken.
	ReasonAdoptionRefused = "AdoptionRefused"
	// ReasonToppedUp of ToppedUp.
	ReasonToppedUp = "ToppedUp"
	// ReasonTooManyTopUps of ToppedUp: stock was added too often, and no more can be.
	ReasonTooManyTopUps = "TooManyTopUps"
	// ReasonDatabaseError of StockAllocated, ToppedUp and Settled: the database did not answer as it should; it is tried
	// again.
	ReasonDatabaseError = "DatabaseError"
	// ReasonMessagingError of PartitionsOpen and Settled: NATS did not answer as it should; it is tried again.
	ReasonMessagingError = "MessagingError"

	// ReasonOpened of PartitionsOpen.
	ReasonOpened = "Opened"
	// ReasonClockUnknown of Ready, Reconciling, StockAllocated, PartitionsOpen and Settled: the sale goes by JetStream's
	// clock, which is not known. Until it is nothing is taken, opened, closed or removed, and the phase stays. Of an
	// OrderCluster's ClockInSync: it is not known.
	ReasonClockUnknown = "ClockUnknown"
	// ReasonOlderDefinition of Stalled: the pods know a later generation of the promotion than the API server has.
	ReasonOlderDefinition = "OlderDefinition"
	// ReasonClosed of PartitionsOpen: the sale has ended.
	ReasonClosed = "Closed"

	// ReasonScheduled of StockAllocated, PartitionsOpen and FlashPoolReady: it is done closer to the start. Of Ready: all
	// that there is to do now is done.
	ReasonScheduled = "Scheduled"
	// ReasonScaling of FlashPoolReady: pods are missing.
	ReasonScaling = "Scaling"
	// ReasonMaxReplicasReached of FlashPoolReady and Stalled: the OrderCluster's pools.flash.replicas.max is less than
	// what this promotion needs together with those before it: the live ones, and those that were made earlier.
	ReasonMaxReplicasReached = "MaxReplicasReached"
	// ReasonAvailable of FlashPoolReady.
	ReasonAvailable = "Available"
	// ReasonEnded of FlashPoolReady, Late and ToppedUp: the sale has ended.
	ReasonEnded = "Ended"

	// ReasonNotReadyInTime of Late.
	ReasonNotReadyInTime = "NotReadyInTime"
	// ReasonNotReadyAtStart of Late.
	ReasonNotReadyAtStart = "NotReadyAtStart"
	// ReasonReadinessLost of Late: it was ready, and is not any more.
	ReasonReadinessLost = "ReadinessLost"
	// ReasonInTime of Late: it is ready, or the deadline is ahead.
	ReasonInTime = "InTime"
	// ReasonNoAdmission of Stalled: orders need admission tokens, and none was or will be given out.
	ReasonNoAdmission = "NoAdmission"
	// ReasonPausedBySpec of Paused.
	ReasonPausedBySpec = "PausedBySpec"

	// ReasonLogMismatch of InvariantViolated and Stalled: in the log, allocated is not sold + unsold.
	ReasonLogMismatch = "LogMismatch"
	// ReasonDatabaseMismatch of InvariantViolated and Stalled: log and database disagree.
	ReasonDatabaseMismatch = "DatabaseMismatch"
	// ReasonProved of InvariantViolated: checked and found to hold.
	ReasonProved = "Proved"
)

// AnnotationAdopts of a PromotionEvent has the UID of an earlier one of the same namespace and name, which is gone
// without having been settled: this one goes on with its stock, its orders and its log, as if it were the same. It
// counts until this one has taken stock of its own, and status.adopted says that it was done.
const AnnotationAdopts = "orderd.dev/adopts"
