package order

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

// setDelivery gives an order that no parcel was asked for its address, or another one.
func (s *Store) setDelivery(
	ctx context.Context, id uuid.UUID, req *orderv1.SetDeliveryRequest,
) (*orderv1.SetDeliveryResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	wanted, err := quote.NewDelivery(req.GetDelivery())
	if err != nil {
		return nil, err
	}
	answer := &orderv1.SetDeliveryResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		o, err := lockOne(ctx, tx, id)
		if err != nil {
			return err
		}
		if o.BuyerID != req.GetBuyerId() {
			return ErrNotFound
		}
		now := database.Stamp(s.now())
		var b pgx.Batch
		c, err := deliverLocked(ctx, tx, o, cause{actor: actorBuyer}, wanted, now)
		if err != nil {
			return err
		}
		answer.Order = o.proto()
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		if err := queueDelivery(&b, o); err != nil {
			return err
		}
		return s.write(ctx, tx, &b, []change{c})
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// deliverLocked takes a locked order to another address, in memory.
func deliverLocked(
	ctx context.Context, q database.Querier, o *Order, by cause, wanted *quote.Delivery, now time.Time,
) (change, error) {
	if o.sum(func(l Line) int64 { return l.Shipped }) > 0 {
		return change{}, refusedIn(o, SetDelivery)
	}
	if o.sum(func(l Line) int64 { return l.Shipping }) > 0 {
		return change{}, parcelRequested()
	}
	c, err := step(o, SetDelivery, now, by.actor, by.reason)
	if err != nil {
		return change{}, err
	}
	return c, deliverTo(ctx, q, o, wanted)
}

// deliverTo sets the order's address and delivery method, if the goods are delivered there for the
// freight that they were placed with.
func deliverTo(ctx context.Context, q database.Querier, o *Order, wanted *quote.Delivery) error {
	to := wanted.Address
	if to == nil {
		key := address.Key{BuyerID: o.BuyerID, ID: wanted.AddressID}
		found, err := address.Find(ctx, q, []address.Key{key})
		if err != nil {
			return err
		}
		if to = found[key]; to == nil {
			return address.NotFound(wanted.AddressID)
		}
	}
	load, err := freightLoad(ctx, q, o)
	if err != nil {
		return err
	}
	book, err := freight.LoadBook(ctx, q, []string{to.GetCountry(), o.Address.GetCountry()})
	if err != nil {
		return err
	}
	offer, err := choose(book, o.Currency, to, load, wanted.Method)
	if err != nil {
		return err
	}
	if !o.freightHolds(book, load, offer.Freight) {
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonFreightDiffers,
			"the freight there is not what the order was placed with", "method", offer.Method)
	}
	o.Address, o.DeliveryMethod = to, offer.Method
	return nil
}

// freightHolds tells whether a freight is what the order's buyer has agreed to: what they pay,
// what it would be where the goods go now, before coupons, or, for a promotion's orders, whose
// prices include it, any.
func (o *Order) freightHolds(book *freight.Book, load freight.Load, charge int64) bool {
	if o.flash() || charge == o.Freight {
		return true
	}
	if o.Address == nil {
		return false
	}
	offer, err := choose(book, o.Currency, o.Address, load, o.DeliveryMethod)
	return err == nil && offer.Freight == charge
}

// choose is the offer that a quote of the load would have.
func choose(
	book *freight.Book, currency string, to *addressv1.Address, load freight.Load, method string,
) (freight.Offer, error) {
	place := freight.PlaceOf(to)
	return freight.Choose(book.Offers(currency, place, load), place, method)
}

// freightLoad is what is to be delivered, with the goods' weights as they are now.
func freightLoad(ctx context.Context, q database.Querier, o *Order) (freight.Load, error) {
	codes := make([]string, len(o.Lines))
	for i, l := range o.Lines {
		codes[i] = l.SKU
	}
	skus, err := catalog.Find(ctx, q, codes)
	if err != nil {
		return freight.Load{}, err
	}
	load := freight.Load{Value: o.Total - o.Freight}
	for _, l := range o.Lines {
		if err := load.Add(skus[l.SKU].WeightGrams, l.Quantity); err != nil {
			return freight.Load{}, err
		}
	}
	return load, nil
}
