package quote

import (
	"errors"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/address"
	"github.com/orderd-dev/orderd/orderd/freight"
	"github.com/orderd-dev/orderd/orderd/money"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// address copies where the goods go.
func (f *Facts) address(q *Quote, in Input) error {
	if in.Delivery == nil {
		return nil
	}
	to := in.Delivery.Address
	if to == nil {
		if to = f.addresses[address.Key{BuyerID: in.BuyerID, ID: in.Delivery.AddressID}]; to == nil {
			return address.NotFound(in.Delivery.AddressID)
		}
	}
	q.Address = proto.CloneOf[*addressv1.Address](to)
	return nil
}

// delivery lists the methods that deliver to the address and takes the one that was asked for, else the first. Goods without a
// delivery have no freight.
func (f *Facts) delivery(q *Quote, in Input) (freight.Offer, error) {
	if in.Delivery == nil {
		return freight.Offer{}, nil
	}
	load, fits := f.load(q)
	if !fits {
		return freight.Offer{}, tooLarge()
	}
	var chosen *freight.Offer
	offers := f.freight.Offers(q.Currency, freight.Place{Country: q.Address.GetCountry(), Region: q.Address.GetRegion()}, load)
	for i := range offers {
		o := &offers[i]
		if o.Refused == nil {
			q.Deliveries = append(q.Deliveries, QuotedDelivery{Method: o.Method, Title: o.Title, Freight: o.Freight})
		}
		if o.Method == in.Delivery.Method || (in.Delivery.Method == "" && chosen == nil && o.Refused == nil) {
			chosen = o
		}
	}
	switch {
	case chosen == nil && in.Delivery.Method == "":
		return freight.Offer{}, undeliverable(q.Address, "")
	case chosen == nil:
		return freight.Offer{}, rpcerr.New(connect.CodeFailedPrecondition, "DELIVERY_METHOD_UNKNOWN", "there is no such delivery method", "method", in.Delivery.Method)
	case errors.Is(chosen.Refused, freight.ErrNotDeliverable):
		return freight.Offer{}, undeliverable(q.Address, chosen.Method)
	case errors.Is(chosen.Refused, freight.ErrOtherCurrency):
		return freight.Offer{}, rpcerr.New(connect.CodeFailedPrecondition, "CURRENCY_MISMATCH", "the delivery method's freight is in another currency than the goods", "method", chosen.Method)
	case chosen.Refused != nil:
		return freight.Offer{}, tooLarge()
	}
	q.DeliveryMethod = chosen.Method
	return *chosen, nil
}

// load is what freight is charged for, and whether it fits.
func (f *Facts) load(q *Quote) (freight.Load, bool) {
	load := freight.Load{Value: q.Goods - q.Discount}
	for _, l := range q.Lines {
		weight, fits := money.Mul(f.skus[l.SKU].WeightGrams, l.Quantity)
		if !fits {
			return load, false
		}
		if load.WeightGrams, fits = money.Add(load.WeightGrams, weight); !fits {
			return load, false
		}
		if load.Pieces, fits = money.Add(load.Pieces, l.Quantity); !fits {
			return load, false
		}
	}
	return load, true
}

func undeliverable(to *addressv1.Address, method string) error {
	return rpcerr.New(connect.CodeFailedPrecondition, "UNDELIVERABLE", "the goods are not delivered to this region",
		"country", to.GetCountry(), "region", to.GetRegion(), "method", method)
}
