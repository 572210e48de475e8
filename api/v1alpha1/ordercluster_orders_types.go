package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OrdersSpec has the rules of the order life cycle.
type OrdersSpec struct {
	// paymentTimeout is how long an order of the standard lane waits for its payment before it expires and its stock is
	// released.
	// +optional
	// +default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="paymentTimeout must be between 10s and 168h"
	PaymentTimeout *metav1.Duration `json:"paymentTimeout,omitempty"`

	// quoteTTL is how long a quote's token can be placed.
	// +optional
	// +default="15m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="quoteTTL must be between 10s and 24h"
	QuoteTTL *metav1.Duration `json:"quoteTTL,omitempty"`

	// completeAfter is how long after its delivery an order is completed, unless the buyer confirms the receipt before.
	// +optional
	// +default="240h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('2160h')",message="completeAfter must be between 1s and 2160h"
	CompleteAfter *metav1.Duration `json:"completeAfter,omitempty"`

	// returnWindow is how long after its delivery goods of an order can be returned.
	// +optional
	// +default="360h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="returnWindow must be between 1s and 8760h"
	ReturnWindow *metav1.Duration `json:"returnWindow,omitempty"`

	// materializePerSecond is how many orders of the flash lane all worker pods together write to the database in a
	// second, at most, so that a sale leaves the database to ordinary orders. Those that live share it equally; one that
	// begins waits for three seconds until the others know of it.
	// +optional
	// +default=2000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaterializePerSecond *int32 `json:"materializePerSecond,omitempty"`

	// materializeConcurrency is with how many transactions at once a worker pod writes them. It should be less than
	// database.maxConnectionsPerPod.
	// +optional
	// +default=4
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=32
	MaterializeConcurrency *int32 `json:"materializeConcurrency,omitempty"`

	// limits are what one buyer may have ordered in the standard lane without having paid for it, so that nobody holds the
	// stock for nothing. More is refused with TOO_MANY_UNPAID. Flash orders do not count: limitPerBuyer bounds them.
	// +optional
	Limits OrderLimitsSpec `json:"limits,omitzero"`
}

// OrderLimitsSpec is what one buyer may have ordered and not paid. An order counts until it is paid, cancelled or
// expired, also if a backend placed it for the buyer. 0 is no limit.
type OrderLimitsSpec struct {
	// unpaidOrders is how many orders of a buyer wait for their payment at once.
	// +optional
	// +default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	UnpaidOrders *int32 `json:"unpaidOrders,omitempty"`

	// reservedUnits is how many units of all SKUs together are in a buyer's unpaid orders.
	// +optional
	// +default=200
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000000
	ReservedUnits *int32 `json:"reservedUnits,omitempty"`

	// guestUnpaidOrders is unpaidOrders for guests, who get a new token whenever they want one.
	// +optional
	// +default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	GuestUnpaidOrders *int32 `json:"guestUnpaidOrders,omitempty"`

	// guestReservedUnits is reservedUnits for guests.
	// +optional
	// +default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000000
	GuestReservedUnits *int32 `json:"guestReservedUnits,omitempty"`
}
