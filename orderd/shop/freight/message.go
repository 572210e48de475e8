package freight

import (
	"slices"

	"connectrpc.com/connect/v2"

	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// templateOf reads a validated template. Two regions that differ only in case or blanks at their
// ends would be the same one to Charge.
func templateOf(in *freightv1.FreightTemplate) (Template, error) {
	t := Template{Name: in.GetName(), Currency: in.GetCurrency(), ChargeBy: chargeByOf(in.GetChargeBy())}
	for _, r := range in.GetRules() {
		if slices.ContainsFunc(t.Rules,
			func(have Rule) bool { return have.Country == r.GetCountry() && sameRegion(have.Region, r.GetRegion()) }) {
			return Template{}, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest,
				"a region may stand in one rule only", "field", "template.rules", "country", r.GetCountry(), "region",
				r.GetRegion())
		}
		t.Rules = append(t.Rules, Rule{
			Country: r.GetCountry(), Region: r.GetRegion(), NotDeliverable: r.GetNotDeliverable(),
			FirstUnits: r.GetFirstUnits(), FirstCharge: r.GetFirstCharge(),
			AdditionalUnits: r.GetAdditionalUnits(), AdditionalCharge: r.GetAdditionalCharge(), FreeFrom: r.FreeFrom,
		})
	}
	return t, nil
}

func (t *Template) proto() *freightv1.FreightTemplate {
	out := &freightv1.FreightTemplate{Name: t.Name, Currency: t.Currency, ChargeBy: t.ChargeBy.proto()}
	for _, r := range t.Rules {
		out.Rules = append(out.Rules, &freightv1.FreightRule{
			Country:          r.Country,
			Region:           r.Region,
			NotDeliverable:   r.NotDeliverable,
			FirstUnits:       r.FirstUnits,
			FirstCharge:      r.FirstCharge,
			AdditionalUnits:  r.AdditionalUnits,
			AdditionalCharge: r.AdditionalCharge,
			FreeFrom:         r.FreeFrom,
		})
	}
	return out
}

func chargeByOf(in freightv1.ChargeBy) ChargeBy {
	switch in {
	case freightv1.ChargeBy_CHARGE_BY_WEIGHT:
		return ByWeight
	case freightv1.ChargeBy_CHARGE_BY_PIECE:
		return ByPiece
	}
	return ByOrderValue
}

func (c ChargeBy) proto() freightv1.ChargeBy {
	return freightv1.ChargeBy(freightv1.ChargeBy_value["CHARGE_BY_"+string(c)])
}
