package pod

import (
	"testing"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Gateways and other pods may reach a pod before it is ready.
func TestNoPromotionIsMissedBeforeAllAreRead(t *testing.T) {
	p := testPod(t)
	s := p.FlashService()
	calls := map[string]func() error{
		"PlaceFlashOrder": func() error {
			_, err := s.PlaceFlashOrder(t.Context(), &flashv1.PlaceFlashOrderRequest{Promotion: "sale"})
			return err
		},
		"GetFlashOrder": func() error {
			_, err := s.GetFlashOrder(t.Context(), &flashv1.GetFlashOrderRequest{Promotion: "sale"})
			return err
		},
		"AdmitBuyers": func() error {
			_, err := s.AdmitBuyers(t.Context(), &flashv1.AdmitBuyersRequest{Promotion: "sale"})
			return err
		},
		"GetPromotion": func() error {
			_, err := s.GetPromotion(t.Context(), &flashv1.GetPromotionRequest{Promotion: "sale"})
			return err
		},
	}
	for name, call := range calls {
		if reason := rpcerr.Reason(call()); reason != rpcerr.ReasonPartitionMoving {
			t.Errorf("%s says %s before the promotions are read, want %s", name, reason, rpcerr.ReasonPartitionMoving)
		}
	}
	p.views.update(func(v *view) { v.synced = true })
	for name, call := range calls {
		if reason := rpcerr.Reason(call()); reason != rpcerr.ReasonPromotionNotFound {
			t.Errorf("%s says %s once they are, want %s", name, reason, rpcerr.ReasonPromotionNotFound)
		}
	}
}
