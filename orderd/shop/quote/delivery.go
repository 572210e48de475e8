package quote

import (
	"google.golang.org/protobuf/proto"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
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

// delivery lists the methods that deliver to the address and chooses one of them. Goods without a
// delivery have no freight.
func (f *Facts) delivery(q *Quote, in Input) (freight.Offer, error) {
	if in.Delivery == nil {
		return freight.Offer{}, nil
	}
	load := freight.Load{Value: q.Goods - q.Discount}
	for _, l := range q.Lines {
		if err := load.Add(f.skus[l.SKU].WeightGrams, l.Quantity); err != nil {
			return freight.Offer{}, err
		}
	}
	to := freight.PlaceOf(q.Address)
	offers := f.freight.Offers(q.Currency, to, load)
	chosen, err := freight.Choose(offers, to, in.Delivery.Method)
	if err != nil {
		return freight.Offer{}, err
	}
	for _, o := range offers {
		if o.Refused == nil {
			q.Deliveries = append(q.Deliveries, QuotedDelivery{Method: o.Method, Title: o.Title, Freight: o.Freight})
		}
	}
	q.DeliveryMethod = chosen.Method
	return chosen, nil
}
