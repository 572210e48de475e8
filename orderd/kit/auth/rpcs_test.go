package auth_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	_ "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

// rpcs are those of every proto but the ones between pods.
func rpcs(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	sources, err := filepath.Glob("../../../api/proto/orderd/*/*/*.proto")
	if err != nil || len(sources) == 0 {
		t.Fatalf("looking for the protos: %v", err)
	}
	for _, source := range sources {
		path, err := filepath.Rel("../../../api/proto", source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := protoregistry.GlobalFiles.FindFileByPath(filepath.ToSlash(path)); err != nil {
			t.Errorf("%s is not among this file's imports", path)
		}
	}
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "orderd.") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if service.FullName() == "orderd.flash.v1.PeerService" {
				continue
			}
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
		return true
	})
	return all
}

// ofFlash tells whether an RPC is served by flash pods, which have no database, and so no audit.
func ofFlash(m protoreflect.MethodDescriptor) bool {
	return m.Parent().FullName() == "orderd.flash.v1.FlashService"
}

// An RPC says who may call it and whether it changes anything. The audit keeps the first request of a call,
// so who is audited changes things by unary calls. PlaceFlashOrders is a stream of a service's all the same:
// it is not audited, because the promotion's log has each of its orders before it is answered.
func TestEveryRPCSaysWhoMayCallIt(t *testing.T) {
	for _, m := range rpcs(t) {
		policy := auth.PolicyOf(m)
		if policy.Roles == 0 && !policy.Public {
			t.Errorf("%s can be called by nobody: it lacks the option orderd.access.v1.access", m.FullName())
		}
		if policy.Roles != 0 && policy.Public {
			t.Errorf("%s is public and names roles", m.FullName())
		}
		options, ok := m.Options().(*descriptorpb.MethodOptions)
		if !ok || options.GetIdempotencyLevel() == descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
			t.Errorf("%s lacks the option idempotency_level", m.FullName())
		}
		if policy.Public && policy.Mutation {
			t.Errorf("%s is a mutation that anybody may make", m.FullName())
		}
		if policy.MaxAge != 0 && (!policy.Public || policy.Mutation || policy.MaxAge < 0) {
			t.Errorf("%s lets caches keep answers for %s, and they are not the same for everybody", m.FullName(), policy.MaxAge)
		}
		if policy.Mutation && m.IsStreamingClient() && !ofFlash(m) && policy.Roles != auth.RolesOf(buyer) {
			t.Errorf("%s is a mutation of several requests, of which the audit would keep the first", m.FullName())
		}
	}
}

// A buyer reaches only what is theirs because requests name the buyer. These say
// nothing of any buyer.
func TestEveryRPCForBuyersNamesTheBuyer(t *testing.T) {
	ofNobody := []protoreflect.FullName{
		"orderd.catalog.v1.CatalogService.GetSku",
		"orderd.catalog.v1.CatalogService.ListSkus",
	}
	for _, m := range rpcs(t) {
		policy := auth.PolicyOf(m)
		named := m.Input().Fields().ByName("buyer_id") != nil
		if policy.Roles.Has(buyer) && policy.NamesBuyer() != named {
			t.Errorf("%s: buyer_id is not a string", m.FullName())
		}
		if policy.Roles.Has(buyer) && !named && !slices.Contains(ofNobody, m.FullName()) {
			t.Errorf("%s is for buyers, and its request has no top-level buyer_id", m.FullName())
		}
	}
}

// What is changed in the flash lane leaves no audit entry. An order's record in the promotion's log stands for
// it, whoever placed the order for the buyer, and an admission changes nothing until its buyer orders. Neither
// tells of a person, so staff change nothing there, and of services only these two.
func TestTheFlashLaneIsChangedWithoutAnAudit(t *testing.T) {
	may := auth.RolesOf(buyer, accessv1.Role_ROLE_CHECKOUT, accessv1.Role_ROLE_ADMISSION)
	for _, m := range rpcs(t) {
		policy := auth.PolicyOf(m)
		if others := policy.Roles &^ may; ofFlash(m) && policy.Mutation && others != 0 {
			t.Errorf("%s changes something for %s where there is no audit", m.FullName(), others)
		}
	}
}
