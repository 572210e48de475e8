package freight

import (
	"errors"

	"connectrpc.com/connect/v2"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/money"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// PlaceOf is the place of an address.
func PlaceOf(to *addressv1.Address) Place {
	return Place{Country: to.GetCountry(), Region: to.GetRegion()}
}

// Add puts units of a SKU into the load, each of so many grams. A weight or a number that does not
// fit is INVALID_ARGUMENT/AMOUNT_TOO_LARGE.
func (l *Load) Add(gramsEach, units int64) error {
	weight, fits := money.Mul(gramsEach, units)
	if !fits {
		return tooLarge()
	}
	if l.WeightGrams, fits = money.Add(l.WeightGrams, weight); !fits {
		return tooLarge()
	}
	if l.Pieces, fits = money.Add(l.Pieces, units); !fits {
		return tooLarge()
	}
	return nil
}

// Choose takes the named method's offer, or the first that delivers to the place if no method is
// named. It is the only rule for that: quotes and orders choose by it. Errors:
// FAILED_PRECONDITION/DELIVERY_METHOD_UNKNOWN (metadata method), UNDELIVERABLE (metadata country,
// region, method) or CURRENCY_MISMATCH (metadata method); INVALID_ARGUMENT/AMOUNT_TOO_LARGE.
func Choose(offers []Offer, to Place, method string) (Offer, error) {
	for _, o := range offers {
		switch {
		case method == "" && o.Refused == nil:
			return o, nil
		case method != "" && o.Method == method:
			if err := refusal(o, to); err != nil {
				return Offer{}, err
			}
			return o, nil
		}
	}
	if method == "" {
		return Offer{}, undeliverable(to, "")
	}
	return Offer{}, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonDeliveryMethodUnknown,
		"there is no such delivery method", "method", method)
}

// refusal is what the caller is told of an offer's refusal.
func refusal(o Offer, to Place) error {
	switch {
	case o.Refused == nil:
		return nil
	case errors.Is(o.Refused, ErrOtherCurrency):
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonCurrencyMismatch,
			"the delivery method's freight is in another currency than the goods", "method", o.Method)
	case errors.Is(o.Refused, ErrTooLarge):
		return tooLarge()
	}
	return undeliverable(to, o.Method)
}

func undeliverable(to Place, method string) error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonUndeliverable,
		"the goods are not delivered to this region", "country", to.Country, "region", to.Region, "method", method)
}

func tooLarge() error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonAmountTooLarge,
		"the goods' weight, or what they cost with their freight, is too large")
}
