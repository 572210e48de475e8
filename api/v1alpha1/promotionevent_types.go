package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PromotionEvent is one sale: some SKUs at a promotion price, with stock set aside for them, sold by the flash pool
// between a start and an end.
//
// Stock, orders and log are kept under its UID. One that is made anew under its name while the first has stock, as by a
// restore from a backup or after its finalizer was taken away, is another one: it takes no stock, and says StockHeld.
// With the annotation orderd.dev/adopts and the UID of the first it goes on in its place.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=promo,categories=orderd
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Start",type=string,JSONPath=`.spec.startTime`
// +kubebuilder:printcolumn:name="End",type=string,JSONPath=`.spec.endTime`
// +kubebuilder:printcolumn:name="Sold",type=integer,JSONPath=`.status.sold`
// +kubebuilder:printcolumn:name="Left",type=integer,JSONPath=`.status.left`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Peak",type=integer,JSONPath=`.spec.traffic.expectedPeakRPS`,priority=1
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`,priority=1
// +kubebuilder:printcolumn:name="Partitions",type=integer,JSONPath=`.status.partitions`,priority=1
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must be at most 63 characters: buyers' apps name the promotion by it"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Live', 'Paused', 'Draining', 'Settled']) || self.spec.startTime == oldSelf.spec.startTime",fieldPath=".spec.startTime",message="startTime must not change once the promotion is live"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Draining', 'Settled']) || self.spec.endTime == oldSelf.spec.endTime",fieldPath=".spec.endTime",message="endTime must not change once the promotion has ended"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Draining', 'Settled']) || self.spec.items.map(i, i.stock).sum() <= oldSelf.spec.items.map(i, i.stock).sum()",fieldPath=".spec.items",message="stock must not grow once the promotion has ended"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || self.spec.orderClusterRef == oldSelf.spec.orderClusterRef",fieldPath=".spec.orderClusterRef",message="orderClusterRef must not change once the promotion is prepared"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || self.spec.currency == oldSelf.spec.currency",fieldPath=".spec.currency",message="currency must not change once the promotion is prepared"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || (has(self.spec.partitions) == has(oldSelf.spec.partitions) && (!has(self.spec.partitions) || self.spec.partitions == oldSelf.spec.partitions))",fieldPath=".spec.partitions",message="partitions must not change once the promotion is prepared"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || (has(self.spec.streams) == has(oldSelf.spec.streams) && (!has(self.spec.streams) || self.spec.streams == oldSelf.spec.streams))",fieldPath=".spec.streams",message="streams must not change once the promotion is prepared"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || self.spec.items.map(i, i.sku) == oldSelf.spec.items.map(i, i.sku)",fieldPath=".spec.items",message="items: no sku may be added, removed or moved once the promotion is prepared (switch an item off instead)"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || self.spec.items.map(i, i.price) == oldSelf.spec.items.map(i, i.price)",fieldPath=".spec.items",message="items: no price may change once the promotion is prepared"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.partitions) || self.spec.items.size() != oldSelf.spec.items.size() || self.spec.items.all(i, item, item.stock >= oldSelf.spec.items[i].stock)",fieldPath=".spec.items",message="items: stock may only grow, never shrink, once the promotion is prepared"
type PromotionEvent struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the sale should be.
	// +required
	Spec PromotionEventSpec `json:"spec,omitzero"`

	// status is how the sale is going. Written by the operator.
	// +optional
	Status PromotionEventStatus `json:"status,omitzero"`
}

// PromotionEventList is a list of PromotionEvents.
//
// +kubebuilder:object:root=true
type PromotionEventList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the PromotionEvents.
	Items []PromotionEvent `json:"items"`
}

// PromotionEventSpec is what the sale should be.
//
// +kubebuilder:validation:XValidation:rule="self.endTime > self.startTime",fieldPath=".endTime",message="endTime must be after startTime"
// +kubebuilder:validation:XValidation:rule="self.endTime - self.startTime <= duration('744h')",fieldPath=".endTime",message="endTime must be at most 744h (31 days) after startTime"
// +kubebuilder:validation:XValidation:rule="!has(self.partitions) || self.partitions <= 64 * (has(self.streams) ? self.streams : 1)",fieldPath=".partitions",message="partitions must be at most 64 for each of streams"
// +kubebuilder:validation:XValidation:rule="!has(self.partitions) || !has(self.streams) || self.partitions % self.streams == 0",fieldPath=".partitions",message="partitions must be a multiple of streams"
// +kubebuilder:validation:XValidation:rule="!has(self.streams) || self.streams <= self.items.size()",fieldPath=".streams",message="streams must not be more than items: each sells at least one"
// +kubebuilder:validation:XValidation:rule="!has(self.admission) || !has(self.admission.until) || self.admission.until <= self.endTime",fieldPath=".admission.until",message="until must not be after endTime"
type PromotionEventSpec struct {
	// orderClusterRef names the OrderCluster that runs the sale.
	// +required
	OrderClusterRef OrderClusterReference `json:"orderClusterRef,omitzero"`

	// currency of all prices: ISO 4217, three upper-case letters.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=3
	// +kubebuilder:validation:Pattern=`^[A-Z]{3}$`
	Currency string `json:"currency,omitempty"`

	// startTime is when the sale opens. It may be moved until then.
	// +required
	StartTime metav1.Time `json:"startTime,omitzero"`

	// endTime is when the sale closes. It may be moved until then, so that a running sale can be extended or ended early.
	// +required
	EndTime metav1.Time `json:"endTime,omitzero"`

	// prewarm is how long before startTime everything must be ready: stock, partitions and pods. The operator scales the
	// flash pool ahead of that; if it is not ready by then it says so and keeps trying.
	// +optional
	// +default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('24h')",message="prewarm must be at most 24h"
	Prewarm *metav1.Duration `json:"prewarm,omitempty"`

	// prepareBefore is how long before that the promotion is prepared: its stock is taken, its streams and partitions are
	// made. Until then it is Scheduled, takes and costs nothing, and everything in it may be changed; from then on what
	// cannot be changed is refused.
	// +optional
	// +default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('2m') && duration(self) <= duration('8760h')",message="prepareBefore must be between 2m and 8760h: pods are scaled two minutes before prewarm"
	PrepareBefore *metav1.Duration `json:"prepareBefore,omitempty"`

	// paymentTimeout is how long an order of the sale waits for its payment before it expires and its stock goes back
	// into the sale. A change holds for orders placed after it.
	// +optional
	// +default="15m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="paymentTimeout must be between 10s and 168h"
	PaymentTimeout *metav1.Duration `json:"paymentTimeout,omitempty"`

	// items are the SKUs on sale. A flash pod keeps about 120 bytes, and the SKU, of each in each partition that it owns.
	// +required
	// +listType=map
	// +listMapKey=sku
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Items []PromotionItem `json:"items,omitempty"`

	// traffic is the rush that the flash pool is scaled for.
	// +required
	Traffic TrafficSpec `json:"traffic,omitzero"`

	// partitions is how many logs the sale is split into by buyer, over all its streams; each holds a stock shard of every
	// item of its stream. One or two a flash pod are fastest. At most 64 for each of streams, and a multiple of them.
	// Unset: two for each pod that the expected peak needs.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=512
	Partitions *int32 `json:"partitions,omitempty"`

	// streams is how many JetStream streams the logs are in. Items are spread over them by their stock, and an order can
	// only have items of one stream: more than one is for sales that are too fast for one stream. A stream has no size
	// limit and is never trimmed: until the log is removed, each of messaging.replicas disks keeps about 55 bytes, the
	// buyer's id, the request id and the SKUs of every order, and 200 bytes for all that were accepted in the same moment.
	// Unset: one for each 50,000 expected requests a second, and one if partitions is set.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Streams *int32 `json:"streams,omitempty"`

	// admission lets only those buyers order who got a token before the sale. It may be changed at any time.
	// +optional
	Admission AdmissionSpec `json:"admission,omitzero"`

	// paused refuses new orders while the window goes on.
	// +optional
	Paused *bool `json:"paused,omitempty"`

	// settlement says what happens after the end.
	// +optional
	Settlement SettlementSpec `json:"settlement,omitzero"`
}

// AdmissionSpec lets only those buyers order who got a token before the sale, so that a script which never saw the page
// gets nothing.
type AdmissionSpec struct {
	// required says that an order needs an admission token for each of its items.
	// +optional
	Required *bool `json:"required,omitempty"`

	// until is when no more tokens are given out, at the latest endTime. Unset: startTime.
	// +optional
	Until metav1.Time `json:"until,omitzero"`
}

// OrderClusterReference names an OrderCluster in the same namespace.
type OrderClusterReference struct {
	// name of the OrderCluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name,omitempty"`
}

// PromotionItem is a SKU in the sale.
type PromotionItem struct {
	// sku is the shop's code of the goods, as the catalog has it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`
	SKU string `json:"sku,omitempty"`

	// price of one unit in the currency's minor unit (cents, fen).
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000000
	Price *int64 `json:"price,omitempty"`

	// stock is how many units are taken from the SKU's stock for the sale. What is not sold comes back after the end. Once
	// the promotion is prepared it may only grow, until the end, also while the sale is live: what the SKU's stock has too
	// little of is said by the condition ToppedUp.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	Stock int64 `json:"stock,omitempty"`

	// limitPerBuyer is the most units a buyer may have of it in this sale. Unset or 0: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9999
	LimitPerBuyer *int32 `json:"limitPerBuyer,omitempty"`

	// off refuses new orders of this item, while the others stay on sale.
	// +optional
	Off *bool `json:"off,omitempty"`
}

// TrafficSpec is the rush that the flash pool is scaled for.
type TrafficSpec struct {
	// expectedPeakRPS is the most requests a second that are expected, over all items.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	ExpectedPeakRPS int32 `json:"expectedPeakRPS,omitempty"`
}

// SettlementSpec says what happens after the end.
type SettlementSpec struct {
	// keepLog is how long after settlement the promotion's log is kept, even if the PromotionEvent is deleted meanwhile.
	// Unset: 168h, or until the PromotionEvent is deleted if that is sooner.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('2160h')",message="keepLog must be at most 2160h (90 days)"
	KeepLog *metav1.Duration `json:"keepLog,omitempty"`
}

// PromotionPhase is where the sale is on its way, for people and print columns; programs read the conditions.
//
// +kubebuilder:validation:Enum=Pending;Scheduled;Provisioning;Ready;Live;Paused;Draining;Settled
type PromotionPhase string

const (
	// PhasePending: its OrderCluster cannot take it yet.
	PhasePending PromotionPhase = "Pending"
	// PhaseScheduled: all that there is to do before the next time that matters is done, be it nothing.
	PhaseScheduled PromotionPhase = "Scheduled"
	// PhaseProvisioning: stock, partitions and pods are being prepared.
	PhaseProvisioning PromotionPhase = "Provisioning"
	// PhaseReady: all is prepared; the start is ahead.
	PhaseReady PromotionPhase = "Ready"
	// PhaseLive: between start and end, and selling.
	PhaseLive PromotionPhase = "Live"
	// PhasePaused: between start and end, and spec.paused refuses new orders.
	PhasePaused PromotionPhase = "Paused"
	// PhaseDraining: ended; orders are being written and stock returned.
	PhaseDraining PromotionPhase = "Draining"
	// PhaseSettled: unsold stock is back and the result is in the status, or the sale never opened.
	PhaseSettled PromotionPhase = "Settled"
)

// PromotionEventStatus is how the sale is going.
type PromotionEventStatus struct {
	// conditions are Ready, Reconciling, Stalled, ClusterReady, StockAllocated, ToppedUp, PartitionsOpen, FlashPoolReady,
	// Late, Paused, Settled and InvariantViolated.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// uid is the metadata.uid of the PromotionEvent that this status is about. A status of another one, as after a
	// restore from a backup, is forgotten.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]{1,64}$`
	UID string `json:"uid,omitempty"`

	// observedGeneration is the metadata.generation that this status was computed from, and that the pods were told of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is where the sale is on its way.
	// +optional
	Phase PromotionPhase `json:"phase,omitempty"`

	// partitions is how many logs the sale is split into. Fixed before the first of them is opened.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=512
	Partitions int32 `json:"partitions,omitempty"`

	// streams is how many JetStream streams the logs are in. Fixed before the first of them is made.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Streams int32 `json:"streams,omitempty"`

	// adopted is the UID of the PromotionEvent whose stock, orders and log this one goes on with: see the annotation
	// orderd.dev/adopts. Unset: it has its own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]{1,64}$`
	Adopted string `json:"adopted,omitempty"`

	// replicas is how many flash pods this sale needs for its expected peak.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Replicas int32 `json:"replicas,omitempty"`

	// sold is how many units are in orders that were not released, over all items. Updated about every two seconds while
	// the sale is live, and up to every ten with 1,000 items.
	// +optional
	Sold *int64 `json:"sold,omitempty"`

	// left is how many units are still for sale, over all items; after settlement, how many were returned.
	// +optional
	Left *int64 `json:"left,omitempty"`

	// items has the figures of each item.
	// +optional
	// +listType=map
	// +listMapKey=sku
	// +kubebuilder:validation:MaxItems=1000
	Items []PromotionItemStatus `json:"items,omitempty"`

	// readyTime is when the sale was first ready for the start that it has.
	// +optional
	ReadyTime metav1.Time `json:"readyTime,omitzero"`

	// closedTime is when every partition was closed: nothing can be sold after it.
	// +optional
	ClosedTime metav1.Time `json:"closedTime,omitzero"`

	// settledTime is when the unsold stock was back.
	// +optional
	SettledTime metav1.Time `json:"settledTime,omitzero"`

	// logRemovedTime is when the promotion's log was removed.
	// +optional
	LogRemovedTime metav1.Time `json:"logRemovedTime,omitzero"`
}

// PromotionItemStatus has the figures of one item. After settlement allocated = sold + returned.
type PromotionItemStatus struct {
	// sku of the item.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	SKU string `json:"sku,omitempty"`

	// stream is the index of the stream that sells it. Fixed before the stream is made.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=7
	Stream *int32 `json:"stream,omitempty"`

	// allocated is how many units were taken from the SKU's stock, with those that were added later.
	// +optional
	Allocated *int64 `json:"allocated,omitempty"`

	// sold is how many units are in orders that were not released.
	// +optional
	Sold *int64 `json:"sold,omitempty"`

	// left is how many units are still for sale.
	// +optional
	Left *int64 `json:"left,omitempty"`

	// returned is how many units went back to the SKU's stock at settlement.
	// +optional
	Returned *int64 `json:"returned,omitempty"`
}
