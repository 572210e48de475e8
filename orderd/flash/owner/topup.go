package owner

import (
	"context"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

// topUp appends the partition's shares of the top-ups that it lacks. A closed partition takes none:
// whoever closes it appends them before.
func (o *Owner) topUp(ctx context.Context) error {
	for {
		promo := o.promotion()
		if promo == o.toppedUp || o.state.Closed() {
			o.toppedUp = promo
			return nil
		}
		record := o.missingTopUp(promo)
		if record == nil {
			o.toppedUp = promo
			return nil
		}
		sequence, err := o.append(ctx, record)
		if err == nil {
			err = o.state.Fold(sequence, record)
			o.redecide = true
		}
		if err != nil {
			if err := o.recover(ctx, err); err != nil {
				return err
			}
		}
		// Whether it landed, the state says: the loop looks at it again.
	}
}

// missingTopUp is the record of the first top-up whose share the partition lacks; nil if it lacks
// none.
func (o *Owner) missingTopUp(promo *promotion.Promotion) *flashv1.Record {
	for _, topUp := range promo.GetTopUps() {
		if record := promo.ToppedUp(o.partition, topUp); record != nil && !o.state.HasTopUp(topUp.GetId()) {
			return record
		}
	}
	return nil
}
