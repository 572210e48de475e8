package order

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/page"
)

const (
	defaultPageSize = 20
	// maxLooked is how many of a buyer's orders one call looks at to find those of a group, so that it
	// costs much the same for a buyer of any number of orders.
	maxLooked = 1000
	// lookBatch of them are read at once: most buyers have fewer.
	lookBatch = 200
)

// ListOrders returns a page of a buyer's orders, newest first.
func (s *Service) ListOrders(ctx context.Context, req *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	first, last := s.ids.Range(req.GetBuyerId())
	below, err := pageBelow(req.GetPageToken(), first, last)
	if err != nil {
		return nil, err
	}
	r := idRange{buyerID: req.GetBuyerId(), first: first, below: below}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	answer := &orderv1.ListOrdersResponse{}
	var orders []*Order
	if group := req.GetGroup(); group == orderv1.OrderGroup_ORDER_GROUP_UNSPECIFIED {
		// One more than asked for tells whether there is a next page.
		orders, err = s.store.list(ctx, r, size+1)
		orders, answer.NextPageToken = page.Cut(orders, size, func(last *Order) []any { return []any{last.ID} })
	} else {
		var ids []uuid.UUID
		if ids, answer.NextPageToken, err = s.grouped(ctx, r, group, size); err == nil {
			orders, err = s.store.newestFirst(ctx, ids)
		}
	}
	if err != nil {
		return nil, rpcError(err)
	}
	for _, o := range orders {
		if req.GetView() == orderv1.OrderView_ORDER_VIEW_SUMMARY {
			answer.Summaries = append(answer.Summaries, o.summary())
			continue
		}
		answer.Orders = append(answer.Orders, o.proto())
	}
	return answer, nil
}

// pageBelow is the id below which the page of a token begins, inside the range of the buyer's ids:
// the range's end if there is no token.
func pageBelow(token string, first, last uuid.UUID) (uuid.UUID, error) {
	below := last
	given, err := page.Parse(token, &below)
	if err == nil && given && (bytes.Compare(below[:], first[:]) < 0 || bytes.Compare(below[:], last[:]) > 0) {
		err = page.Invalid()
	}
	return below, err
}

// grouped finds the orders of a group, newest first, and where the next page goes on; empty at the
// end.
func (s *Service) grouped(
	ctx context.Context, r idRange, group orderv1.OrderGroup, size int,
) (found []uuid.UUID, next string, err error) {
	for looked := 0; looked < maxLooked; looked += lookBatch {
		seen, err := s.store.glance(ctx, r, lookBatch)
		if err == nil && group == orderv1.OrderGroup_ORDER_GROUP_AFTER_SALE {
			err = s.lookAfterSale(ctx, seen)
		}
		if err != nil {
			return nil, "", err
		}
		for _, g := range seen {
			if !g.in(group) {
				continue
			}
			if len(found) == size {
				return found, page.Token(found[size-1]), nil
			}
			found = append(found, g.id)
		}
		if len(seen) < lookBatch {
			return found, "", nil
		}
		r.below = seen[len(seen)-1].id
		if len(found) == size {
			break
		}
	}
	return found, page.Token(r.below), nil
}

// CountOrders counts a buyer's newest orders by group.
func (s *Service) CountOrders(
	ctx context.Context, req *orderv1.CountOrdersRequest,
) (*orderv1.CountOrdersResponse, error) {
	first, last := s.ids.Range(req.GetBuyerId())
	seen, err := s.store.glance(ctx, idRange{buyerID: req.GetBuyerId(), first: first, below: last}, maxLooked+1)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &orderv1.CountOrdersResponse{More: len(seen) > maxLooked}
	seen = seen[:min(len(seen), maxLooked)]
	if err := s.lookAfterSale(ctx, seen); err != nil {
		return nil, rpcError(err)
	}
	for _, group := range groups() {
		count := &orderv1.GroupCount{Group: group}
		for _, g := range seen {
			if g.in(group) {
				count.Orders++
			}
		}
		answer.Counts = append(answer.Counts, count)
	}
	return answer, nil
}

// lookAfterSale tells which of the orders have a return or a refund that has not ended. Only paid
// ones can.
func (s *Service) lookAfterSale(ctx context.Context, seen []glance) error {
	var paid []uuid.UUID
	for _, g := range seen {
		if g.paid {
			paid = append(paid, g.id)
		}
	}
	if len(paid) == 0 {
		return nil
	}
	refunds, err := s.store.refundsPending(ctx, paid)
	if err != nil {
		return err
	}
	var returns map[uuid.UUID]bool
	if s.returns != nil {
		if returns, err = s.returns.Open(ctx, paid); err != nil {
			return err
		}
	}
	for i, g := range seen {
		seen[i].afterSale = refunds[g.id] || returns[g.id]
	}
	return nil
}
