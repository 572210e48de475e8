package seed

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/shop"
)

const (
	// thanks is the coupon's worth, in the currency's minor unit.
	thanks = 500
	// plenty is more than there are orders.
	plenty = 1_000_000
	// campaignLasts is long enough for the run.
	campaignLasts = time.Hour
	method        = "standard"
)

// campaign makes a delivery method that costs nothing, and has every order of the run rewarded with
// a coupon.
func campaign(ctx context.Context, s *shop.Standard, p plan.Plan) error {
	currency, until := p.Items[0].Currency, timestamppb.New(time.Now().Add(campaignLasts))
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"the freight template", func(ctx context.Context) error {
			_, err := s.Freight.UpsertFreightTemplate(ctx, &freightv1.UpsertFreightTemplateRequest{
				RequestId: "freight-" + p.Run, Template: &freightv1.FreightTemplate{
					Name: method, Currency: currency, ChargeBy: freightv1.ChargeBy_CHARGE_BY_PIECE,
					Rules: []*freightv1.FreightRule{{}},
				},
			})
			return err
		}},
		{"the delivery method", func(ctx context.Context) error {
			_, err := s.Freight.UpsertDeliveryMethod(ctx, &freightv1.UpsertDeliveryMethodRequest{
				RequestId: "method-" + p.Run, Method: &freightv1.DeliveryMethod{
					Name: method, Title: "Standard delivery", Template: method,
				},
			})
			return err
		}},
		{"the coupon template", func(ctx context.Context) error {
			_, err := s.Coupons.UpsertCouponTemplate(ctx, &couponv1.UpsertCouponTemplateRequest{
				RequestId: "coupon-" + p.Run, Template: &couponv1.CouponTemplate{
					Name: p.Campaign(), Title: "Thank you", Currency: currency, Benefit: &couponv1.CouponTemplate_Fixed{
						Fixed: &couponv1.Fixed{Amount: thanks},
					},
					Validity: &couponv1.Validity{Days: 30}, LimitPerBuyer: 1000, Budget: &couponv1.Budget{Coupons: plenty},
				},
			})
			return err
		}},
		{"the campaign", func(ctx context.Context) error {
			_, err := s.Rewards.UpsertCampaign(ctx, &rewardv1.UpsertCampaignRequest{
				RequestId: "campaign-" + p.Run, Campaign: &rewardv1.Campaign{
					Name: p.Campaign(), Title: "Thank you", From: timestamppb.New(time.Now().Add(-time.Minute)), Until: until,
					Condition: &rewardv1.Condition{Promotion: p.Promotion}, Template: p.Campaign(), Quantity: 1, Budget: plenty,
				},
			})
			return err
		}},
	}
	for _, step := range steps {
		if err := call(ctx, step.do); err != nil {
			return fmt.Errorf("making %s: %w", step.what, err)
		}
	}
	return nil
}
