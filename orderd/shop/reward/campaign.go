// Package reward grants coupons and red envelopes for paid orders, by campaigns of the marketing
// team: once an order and a campaign, within the campaign's budget and the coupon template's.
package reward

import (
	"slices"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
)

// campaign is a campaign as it stands.
type campaign struct {
	name     string
	revision int64
	enabled  bool
	rule     *rewardv1.Campaign
}

// owner is the campaign's name among budgets, and the actor in its coupons' histories.
func (c *campaign) owner() string { return "campaign:" + c.name }

func (c *campaign) proto(spent int64) *rewardv1.CampaignStatus {
	return &rewardv1.CampaignStatus{Campaign: c.rule, Revision: c.revision, On: c.enabled, Spent: spent}
}

// facts are what a condition asks for beside the order itself.
type facts struct {
	// first says that the order is its buyer's first paid one.
	first bool
	// categories of the order's SKUs; only needed for campaigns that ask for any.
	categories map[string]string
}

// asksForCategories tells whether any of the campaigns does.
func asksForCategories(campaigns []*campaign) bool {
	return slices.ContainsFunc(campaigns, func(c *campaign) bool { return len(c.rule.GetCondition().GetCategories()) > 0 })
}

// met tells whether a paid order meets the campaign's rule.
func (c *campaign) met(o *orderv1.Order, f facts) bool {
	paid := o.GetPaidAt().AsTime()
	if paid.Before(c.rule.GetFrom().AsTime()) || !paid.Before(c.rule.GetUntil().AsTime()) {
		return false
	}
	want := c.rule.GetCondition()
	switch {
	case want.GetFirstOrder() && !f.first:
		return false
	case want.GetPromotion() != "" && want.GetPromotion() != o.GetPromotion():
		return false
	case want.GetCurrency() != "" && want.GetCurrency() != o.GetTotal().GetCurrency():
		return false
	case o.GetTotal().GetAmount() < want.GetMinTotal():
		return false
	case len(want.GetCategories()) == 0 && len(want.GetSkus()) == 0:
		return true
	}
	return slices.ContainsFunc(o.GetLines(), func(l *orderv1.OrderLine) bool {
		return slices.Contains(want.GetSkus(), l.GetSku()) || slices.Contains(want.GetCategories(), f.categories[l.GetSku()])
	})
}
