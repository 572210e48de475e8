package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/batch"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// wish is one call of PlaceOrder.
type wish struct {
	id      uuid.UUID
	request idempotency.Request
	input   quote.Input
	// promise is the token's, if there was one.
	promise *quote.Promise
	// limits are the buyer's, and exact tells whether the caller may know how much stock there is.
	limits  Limits
	exact   bool
	details Details
	// refused is why the token is not taken; an answer that was given before goes first.
	refused error
}

// newWish reads a validated request.
func (s *Service) newWish(ctx context.Context, req *orderv1.PlaceOrderRequest) (wish, error) {
	id, err := s.ids.New(req.GetBuyerId())
	if err != nil {
		return wish{}, err
	}
	w := wish{
		id: id, limits: s.limitsOf(ctx), exact: stock.ExactFor(ctx),
		details: Details{
			Channel: req.GetChannel(), Attributes: req.GetAttributes(),
			BuyerMessage: req.GetBuyerMessage(), GiftNote: req.GetGiftNote(),
		},
	}
	if w.request, err = idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(),
		req); err != nil {
		return wish{}, err
	}
	if token := req.GetQuoteToken(); token != "" {
		input, promise, err := s.tokens.Open(token, req.GetBuyerId(), s.store.now())
		w.input, w.promise, w.refused = input, &promise, err
		return w, nil
	}
	w.input = quote.Input{BuyerID: req.GetBuyerId(), Invoice: req.GetInvoice()}
	if w.input.Delivery, err = quote.NewDelivery(req.GetDelivery()); err != nil {
		return wish{}, err
	}
	if w.input.CouponIDs, err = quote.NewCouponIDs(req.GetCouponIds()); err != nil {
		return wish{}, err
	}
	for _, l := range req.GetLines() {
		w.input.Lines = append(w.input.Lines, quote.Line{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	return w, nil
}

type outcome = batch.Result[*orderv1.PlaceOrderResponse]

// placeAll places the orders of many calls in one transaction. One that cannot be placed has an
// error of its own; the other error means that none was placed.
func (s *Service) placeAll(ctx context.Context, wishes []wish) ([]outcome, error) {
	outcomes := make([]outcome, len(wishes))
	todo, repeats := repetitions(wishes)
	for round := 0; len(todo) > 0; round++ {
		first, others := distinct(wishes, todo)
		again, err := s.placeRound(ctx, wishes, first, outcomes)
		if err != nil && round == 0 {
			return nil, err
		}
		if err == nil && round == maxPlacingRounds {
			err = errUnderWay
		}
		if err != nil {
			for _, i := range todo {
				outcomes[i] = outcome{Err: err}
			}
			break
		}
		todo = slices.Concat(again, others)
	}
	for i, first := range repeats {
		outcomes[i] = outcomes[first]
	}
	return outcomes, nil
}

// repetitions splits wishes into those to be answered, by their places, and repetitions of them:
// for each the place of the wish that it repeats.
func repetitions(wishes []wish) (todo []int, repeats map[int]int) {
	repeats = map[int]int{}
	seen := make(map[idempotency.Key][]int, len(wishes))
	for i, w := range wishes {
		same := slices.IndexFunc(seen[w.request.Key()], func(n int) bool { return wishes[n].request.Same(w.request) })
		if same >= 0 {
			repeats[i] = seen[w.request.Key()][same]
			continue
		}
		seen[w.request.Key()] = append(seen[w.request.Key()], i)
		todo = append(todo, i)
	}
	return todo, repeats
}

// maxPlacingRounds is more than a batch needs: each round answers all requests but those that have
// the id of another one in the batch, and those that another pod commits meanwhile.
const maxPlacingRounds = 8

var errUnderWay = rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonRequestUnderWay,
	"the same request is under way; retry with the same request id", time.Second)

// distinct splits wishes into the first of each request id and the others, which will find
// the first one's answer.
func distinct(wishes []wish, todo []int) (first, others []int) {
	seen := make(map[idempotency.Key]bool, len(todo))
	for _, i := range todo {
		k := wishes[i].request.Key()
		if seen[k] {
			others = append(others, i)
			continue
		}
		seen[k] = true
		first = append(first, i)
	}
	return first, others
}

// placeRound answers wishes with different request ids. It returns those that somebody else has
// stored and whose answer is not there, which are to be tried again. Whether a request was answered
// before is only looked for where it cannot be placed: for the others, storing the request tells.
func (s *Service) placeRound(ctx context.Context, wishes []wish, todo []int, outcomes []outcome) ([]int, error) {
	priced, refused, err := s.price(ctx, wishes, todo, outcomes)
	if err != nil {
		return nil, err
	}
	if len(priced) == 0 {
		return s.answered(ctx, wishes, refused, outcomes)
	}
	transaction := &placingTransaction{store: s.store, at: database.Stamp(s.store.now()), orders: priced}
	results, err := transaction.run(ctx)
	if err != nil {
		return nil, err
	}
	for n, r := range results {
		o := priced[n]
		switch {
		case r.again:
			refused = append(refused, o.wish)
			outcomes[o.wish] = outcome{Err: errUnderWay}
		case r.refused != nil:
			outcomes[o.wish] = outcome{Err: r.refused}
		default:
			outcomes[o.wish] = outcome{Value: o.answer}
		}
	}
	return s.answered(ctx, wishes, refused, outcomes)
}

// answered gives refused wishes that were placed before their first answer. It returns those that
// were stored while this was under way and whose answer is not there: the transaction that stored
// them was undone, so that they can be tried again.
func (s *Service) answered(ctx context.Context, wishes []wish, refused []int, outcomes []outcome) ([]int, error) {
	if len(refused) == 0 {
		return nil, nil
	}
	requests := make([]idempotency.Request, len(refused))
	for n, i := range refused {
		requests[n] = wishes[i].request
	}
	answers, err := idempotency.FindAll(ctx, s.store.pool, requests)
	if err != nil {
		return nil, err
	}
	var again []int
	for _, i := range refused {
		answer := &orderv1.PlaceOrderResponse{}
		found, err := answers.Find(wishes[i].request, answer)
		switch {
		case err != nil:
			outcomes[i] = outcome{Err: err}
		case found:
			outcomes[i] = outcome{Value: answer}
		case errors.Is(outcomes[i].Err, errUnderWay):
			again = append(again, i)
		}
	}
	return again, nil
}

// price makes the orders of the wishes, at the prices that the shop has now. A wish that has no
// price, or whose token is not taken, is among the refused and has an error as its outcome.
func (s *Service) price(
	ctx context.Context, wishes []wish, todo []int, outcomes []outcome,
) (priced []*candidate, refused []int, err error) {
	inputs := make([]quote.Input, 0, len(todo))
	for _, i := range todo {
		if wishes[i].refused == nil {
			inputs = append(inputs, wishes[i].input)
		}
	}
	facts, err := quote.Load(ctx, s.store.pool, inputs)
	if err != nil {
		return nil, nil, fmt.Errorf("pricing %d orders: %w", len(todo), err)
	}
	now := database.Stamp(s.store.now())
	for _, i := range todo {
		c, err := s.candidate(i, wishes[i], facts, now)
		if err != nil {
			outcomes[i] = outcome{Err: err}
			refused = append(refused, i)
			continue
		}
		priced = append(priced, c)
	}
	return priced, refused, nil
}

func (s *Service) candidate(i int, w wish, facts *quote.Facts, now time.Time) (*candidate, error) {
	if w.refused != nil {
		return nil, w.refused
	}
	q, err := facts.Compute(w.input, now)
	if err != nil {
		return nil, err
	}
	if w.promise != nil && !w.promise.Holds(q) {
		return nil, s.priceChanged(w.input, q, now)
	}
	return newCandidate(i, w, q, now, now.Add(s.timeout))
}

// priceChanged refuses a token with the quote that holds now.
func (s *Service) priceChanged(in quote.Input, q *quote.Quote, now time.Time) error {
	token, expires, err := s.tokens.Sign(in, q, now)
	if err != nil {
		return rpcerr.Internal(err)
	}
	detail := q.Proto()
	detail.Token, detail.ExpiresAt = token, timestamppb.New(expires)
	const text = "the quote does not hold any more; the new one is in the details"
	refused := rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonPriceChanged, text)
	return rpcerr.WithDetail(refused, detail)
}

// candidate is an order that is placed if there is stock for it.
type candidate struct {
	// wish is its place among the calls.
	wish     int
	request  idempotency.Request
	limits   Limits
	exact    bool
	order    *Order
	change   change
	answer   *orderv1.PlaceOrderResponse
	response []byte
}

// free tells whether there is nothing to pay, because coupons take all of it off: such an order is
// paid as it is placed.
func (o *Order) free() bool { return o.Total == 0 }

func newCandidate(i int, w wish, q *quote.Quote, now, expires time.Time) (*candidate, error) {
	o := &Order{
		ID: w.id, BuyerID: w.input.BuyerID, Currency: q.Currency,
		Total: q.Total, Discount: q.Discount, Freight: q.Freight, Tax: q.Tax,
		Address: q.Address, DeliveryMethod: q.DeliveryMethod, Invoice: q.Invoice, CouponIDs: q.CouponIDs,
		CreatedAt: now, ExpiresAt: expires, Details: w.details, Lines: make([]Line, len(q.Lines)),
	}
	for n, l := range q.Lines {
		o.Lines[n] = Line{
			SKU: l.SKU, Title: l.Title, Quantity: l.Quantity, UnitPrice: l.UnitPrice,
			Discount: l.Discount, Freight: l.Freight, Tax: l.Tax,
		}
	}
	c, err := step(o, Place, now, actorBuyer, "")
	if err != nil {
		return nil, err
	}
	c.placed = &orderv1.OrderPlaced{Order: o.proto()}
	if c.encoded, err = proto.Marshal(c.placed); err != nil {
		return nil, fmt.Errorf("encoding the event: %w", err)
	}
	// The answer has the order where the event has it, so that their bytes are the same.
	answer, response := &orderv1.PlaceOrderResponse{Order: c.placed.GetOrder()}, c.encoded
	if o.free() {
		paid := *o
		if _, err := step(&paid, Pay, now, actorBuyer, reasonNothingToPay); err != nil {
			return nil, err
		}
		answer.Order = paid.proto()
		if response, err = proto.Marshal(answer); err != nil {
			return nil, fmt.Errorf("storing the answer: %w", err)
		}
	}
	return &candidate{
		wish: i, request: w.request, limits: w.limits, exact: w.exact,
		order: o, change: c, answer: answer, response: response,
	}, nil
}
