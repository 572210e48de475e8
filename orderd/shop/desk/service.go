package desk

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const defaultPageSize = 20

// ListOrders returns a page of the orders that match.
func (s *Service) ListOrders(ctx context.Context, req *deskv1.ListOrdersRequest) (*deskv1.ListOrdersResponse, error) {
	var after position
	if _, err := page.Parse(req.GetPageToken(), &after.at, &after.id); err != nil {
		return nil, err
	}
	if err := mayFind(ctx, req.GetFilter()); err != nil {
		return nil, err
	}
	q := newQuery(req.GetFilter(), s.now())
	oldest := req.GetSort() == deskv1.OrderSort_ORDER_SORT_OLDEST
	ids, next, err := q.scan(ctx, s.pool, s.bounds, after, oldest, page.Size(req.GetPageSize(), defaultPageSize))
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &deskv1.ListOrdersResponse{}
	if next != (position{}) {
		answer.NextPageToken = page.Token(next.at, next.id)
	}
	if answer.Orders, err = s.listed(ctx, ids); err != nil {
		return nil, rpcError(err)
	}
	for _, o := range answer.GetOrders() {
		maskListed(ctx, o)
	}
	return answer, nil
}

// listed is what a list shows of the orders, as the domains have them now.
func (s *Service) listed(ctx context.Context, ids []uuid.UUID) ([]*deskv1.ListedOrder, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := read(ctx, s.pool, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*deskv1.ListedOrder, len(rows))
	for i, r := range rows {
		o := r.order
		out[i] = &deskv1.ListedOrder{
			OrderId: o.GetOrderId(), Number: o.GetNumber(), BuyerId: o.GetBuyerId(),
			State: o.GetState(), FulfilmentStatus: o.GetFulfilmentStatus(), RefundStatus: o.GetRefundStatus(),
			ReturnState: returnsv1.ReturnState(returnsv1.ReturnState_value["RETURN_STATE_"+r.returnState]),
			Total:       o.GetTotal(), CreatedAt: o.GetCreatedAt(), PaidAt: o.GetPaidAt(),
			Recipient: o.GetAddress().GetRecipient(), Phone: o.GetAddress().GetPhone(),
			Promotion: o.GetPromotion(), Channel: o.GetChannel(), Tags: o.GetTags(), HasNote: r.hasNote,
			Lines: int32(len(o.GetLines())), Provider: r.provider, Version: o.GetVersion(),
		}
		if lines := o.GetLines(); len(lines) > 0 {
			out[i].Title = lines[0].GetTitle()
		}
	}
	return out, nil
}

// CountOrders counts the orders that match each filter.
func (s *Service) CountOrders(
	ctx context.Context, req *deskv1.CountOrdersRequest,
) (*deskv1.CountOrdersResponse, error) {
	if err := mayFind(ctx, req.GetFilters()...); err != nil {
		return nil, err
	}
	answer := &deskv1.CountOrdersResponse{}
	for _, f := range req.GetFilters() {
		n, more, unfinished, err := newQuery(f, s.now()).count(ctx, s.pool, s.bounds.most)
		if err != nil {
			return nil, rpcError(err)
		}
		answer.Counts = append(answer.Counts, &deskv1.OrderCount{Count: n, More: more, Unfinished: unfinished})
	}
	return answer, nil
}

// FindOrder returns one order with all that happened to it.
func (s *Service) FindOrder(ctx context.Context, req *deskv1.FindOrderRequest) (*deskv1.FindOrderResponse, error) {
	id, err := s.find(ctx, req)
	if err != nil {
		return nil, rpcError(err)
	}
	answer, err := s.story(ctx, id)
	if err != nil {
		return nil, rpcError(err)
	}
	maskStory(ctx, answer)
	return answer, nil
}

// story is one order with all that the domains know of it.
func (s *Service) story(ctx context.Context, id uuid.UUID) (*deskv1.FindOrderResponse, error) {
	ids := []uuid.UUID{id}
	orders, err := order.Read(ctx, s.pool, ids)
	if err != nil {
		return nil, err
	}
	if orders[id] == nil {
		return nil, order.ErrNotFound
	}
	answer := &deskv1.FindOrderResponse{Order: orders[id]}
	if answer.Changes, err = order.History(ctx, s.pool, id); err != nil {
		return nil, err
	}
	notes, err := order.Notes(ctx, s.pool, ids)
	if err != nil {
		return nil, err
	}
	for _, n := range notes[id] {
		answer.Notes = append(answer.Notes, noteProto(n))
	}
	return answer, s.beside(ctx, id, answer)
}

func noteProto(n order.Note) *deskv1.Note {
	return &deskv1.Note{Text: n.Text, Author: n.Author, At: timestamppb.New(n.At)}
}

func rpcError(err error) error { return order.RPCError(err) }
