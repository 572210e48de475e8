package auth_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

// changes are what each role may change, and with it what a stolen token of the role can: of every RPC that is not
// NO_SIDE_EFFECTS, its service and name, sorted. Whoever gives a role one more says so here as well.
var changes = map[string][]string{
	"buyer": {
		"AddressService.DeleteAddress", "AddressService.SaveAddress",
		"CartService.AddCartLine", "CartService.ChangeCartLine", "CartService.MergeCart", "CartService.RemoveCartLines",
		"CartService.SelectCartLines",
		"CouponService.ClaimCoupon",
		"FlashService.PlaceFlashOrder",
		"InvoiceService.RequestInvoice",
		"OrderService.CancelOrder", "OrderService.ConfirmReceipt", "OrderService.PlaceOrder", "OrderService.SetDelivery",
		"PaymentService.CreatePayment",
		"PushService.SetLanguage",
		"ReturnService.CancelReturn", "ReturnService.RequestReturn", "ReturnService.SendReturn",
	},
	"support": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"DeskService.AddNote", "DeskService.CancelOrder", "DeskService.RefundUnits", "DeskService.SetDelivery",
		"DeskService.TagOrder",
		"InvoiceService.RequestInvoice",
		"ShipmentService.CancelShipment",
	},
	"fulfilment": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"DeskService.AddNote", "DeskService.RefundUnits", "DeskService.SetDelivery", "DeskService.TagOrder",
		"FreightService.DeleteDeliveryMethod", "FreightService.DeleteFreightTemplate",
		"FreightService.UpsertDeliveryMethod", "FreightService.UpsertFreightTemplate",
		"ReturnService.InspectReturn", "ReturnService.ReceiveReturn",
		"ShipmentService.CancelShipment", "ShipmentService.CreateShipment", "ShipmentService.RecordShipmentEvent",
	},
	"returns": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"DeskService.AddNote", "DeskService.TagOrder",
		"RefundService.RetryRefund",
		"ReturnService.ApproveReturn", "ReturnService.InspectReturn", "ReturnService.ReceiveReturn",
		"ReturnService.RefundReturn", "ReturnService.RejectReturn",
	},
	"finance": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"DeskService.AddNote", "DeskService.RefundUnits", "DeskService.TagOrder",
		"InvoiceService.IssueInvoice", "InvoiceService.RejectInvoice", "InvoiceService.VoidInvoice",
		"ReconciliationService.RunReconciliation",
		"RefundService.RetryRefund",
		"ReturnService.RefundReturn",
	},
	"catalog": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"CatalogService.AdjustStock", "CatalogService.SpreadStock", "CatalogService.UpsertSku",
		"FreightService.DeleteDeliveryMethod", "FreightService.DeleteFreightTemplate",
		"FreightService.UpsertDeliveryMethod", "FreightService.UpsertFreightTemplate",
		"TaxService.UpsertTaxClass",
	},
	"marketing": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"CouponService.SwitchCouponTemplate", "CouponService.UpsertCouponTemplate",
		"DeskService.AddNote", "DeskService.TagOrder",
		"PushService.DeletePushTemplate", "PushService.UpsertPushTemplate",
		"RewardService.SwitchCampaign", "RewardService.UpsertCampaign",
	},
	"operations": {
		"DeadLetterService.DiscardDeadLetter", "DeadLetterService.ReplayDeadLetter",
		"PushService.DeletePushTemplate", "PushService.UpsertPushTemplate",
	},
	"checkout": {
		"AddressService.DeleteAddress", "AddressService.SaveAddress",
		"CartService.AddCartLine", "CartService.ChangeCartLine", "CartService.MergeCart", "CartService.RemoveCartLines",
		"CartService.SelectCartLines",
		"CouponService.ClaimCoupon",
		"FlashService.PlaceFlashOrder", "FlashService.PlaceFlashOrders",
		"InvoiceService.RequestInvoice",
		"OrderService.CancelOrder", "OrderService.ConfirmReceipt", "OrderService.PlaceOrder", "OrderService.SetDelivery",
		"PaymentService.CreatePayment",
		"PushService.SetLanguage",
		"ReturnService.CancelReturn", "ReturnService.RequestReturn", "ReturnService.SendReturn",
	},
	"admission": {
		"FlashService.AdmitBuyers",
	},
	"catalog-sync": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"CatalogService.AdjustStock", "CatalogService.SpreadStock", "CatalogService.UpsertSku",
		"FreightService.DeleteDeliveryMethod", "FreightService.DeleteFreightTemplate",
		"FreightService.UpsertDeliveryMethod", "FreightService.UpsertFreightTemplate",
		"TaxService.UpsertTaxClass",
	},
	"fulfilment-sync": {
		"BulkService.CancelJob", "BulkService.CreateJob",
		"ReturnService.InspectReturn", "ReturnService.ReceiveReturn",
		"ShipmentService.CancelShipment", "ShipmentService.CreateShipment", "ShipmentService.RecordShipmentEvent",
	},
	"invoice-sync": {
		"InvoiceService.IssueInvoice", "InvoiceService.RejectInvoice", "InvoiceService.VoidInvoice",
	},
}

// everyRole but the one that is none.
func everyRole() []accessv1.Role {
	all := slices.Sorted(maps.Keys(accessv1.Role_name))
	roles := make([]accessv1.Role, 0, len(all))
	for _, value := range all {
		if role := accessv1.Role(value); role != accessv1.Role_ROLE_UNSPECIFIED {
			roles = append(roles, role)
		}
	}
	return roles
}

func TestWhatEachRoleMayChange(t *testing.T) {
	got := map[string][]string{}
	for _, role := range everyRole() {
		name := auth.RolesOf(role).String()
		for _, m := range rpcs(t) {
			if policy := auth.PolicyOf(m); policy.Mutation && policy.Roles.Has(role) {
				got[name] = append(got[name], string(m.Parent().Name())+"."+string(m.Name()))
			}
		}
		slices.Sort(got[name])
	}
	if diff := cmp.Diff(changes, got); diff != "" {
		t.Errorf("what the roles may change (-said here, +said by the protos):\n%s", diff)
	}
}

// Staff and services are told apart, and neither is a buyer.
func TestEachRoleIsOfOneKind(t *testing.T) {
	for _, role := range everyRole() {
		set := auth.RolesOf(role)
		kinds := 0
		for _, kind := range []auth.Roles{auth.RolesOf(buyer), auth.StaffRoles, auth.ServiceRoles} {
			if kind&set != 0 {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s is of %d kinds of buyers, staff and services, want 1", set, kinds)
		}
	}
}
