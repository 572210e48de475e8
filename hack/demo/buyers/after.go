package buyers

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/hack/demo/shop"
	"github.com/orderd-dev/orderd/orderd/sim/buyers"
)

const (
	// One order in so many is sent to its buyer; of these, one in so many comes back.
	oneSentIn, oneReturnedIn = 20, 10
	paidEvent                = "paid"
)

// share is a number of the order, always the same.
func share(o order) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(o.ID)) // Never fails.
	return h.Sum32()
}

// among tells whether the order is one in so many.
func among(o order, oneIn uint32) bool { return share(o)%oneIn == 0 }

// deliver gives an order its address, if it is one of those that are sent.
func (r *run) deliver(ctx context.Context, s *shop.Standard, o order) error {
	if !among(o, oneSentIn) {
		return nil
	}
	return retried(r.as(ctx, o.Buyer), func(ctx context.Context) error {
		_, err := s.Orders.SetDelivery(ctx, &orderv1.SetDeliveryRequest{
			RequestId: "to-" + o.Request, BuyerId: o.Buyer, OrderId: o.ID,
			Delivery: &quotev1.Delivery{Address: &addressv1.Address{
				Recipient: "A buyer", Phone: "+86 10 5550 0100",
				Country: "CN", Region: "Beijing", City: "Beijing", Street: "1 Example Road",
			}},
		})
		return err
	})
}

// after waits until what follows from the payments has happened: rewards, messages, parcels, and
// money back for what is returned.
func (r *run) after(ctx context.Context, s *shop.Standard, told int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.plan.AfterSeconds)*time.Second)
	defer cancel()
	staff, err := shop.AsStaff(ctx, r.plan.IssuerURL, "marketing", "operations", "returns")
	if err != nil {
		r.ledger.Broken("signing in as staff: %v", err)
		return
	}
	var sent []order
	for _, o := range r.ledger.Orders() {
		if among(o, oneSentIn) {
			sent = append(sent, o)
		}
	}
	r.count(func() { r.result.Sent = int64(len(sent)) })
	parcels := make(chan struct{})
	go func() {
		defer close(parcels)
		each(sent, func(o order) { r.receive(ctx, staff, s, o) })
	}()
	for r.consumed(staff, s, told) && buyers.Wait(ctx, time.Second) {
		continue
	}
	<-parcels
	if err := r.deadLetters(staff, s); err != nil {
		r.ledger.Broken("listing dead letters: %v", err)
	}
}

// receive waits for the order's parcel, and sends some back for their money.
func (r *run) receive(ctx, staff context.Context, s *shop.Standard, o order) {
	buyer := r.as(ctx, o.Buyer)
	delivered := func(got *orderv1.Order) bool { return got.GetState() == orderv1.OrderState_ORDER_STATE_DELIVERED }
	if err := until(buyer, s, o, time.Second, delivered); err != nil {
		r.ledger.Broken("order %s is not delivered: %v", o.ID, err)
		return
	}
	r.count(func() { r.result.Delivered++ })
	if !among(o, oneSentIn*oneReturnedIn) {
		return
	}
	r.count(func() { r.result.Returned++ })
	if err := giveBack(buyer, staff, s, o); err != nil {
		r.ledger.Broken("returning order %s: %v", o.ID, err)
		return
	}
	refunded := func(got *orderv1.Order) bool {
		return got.GetRefundStatus() >= orderv1.RefundStatus_REFUND_STATUS_PARTIALLY_REFUNDED
	}
	if err := until(buyer, s, o, time.Second, refunded); err != nil {
		r.ledger.Broken("order %s is not refunded: %v", o.ID, err)
		return
	}
	r.count(func() { r.result.Refunded++ })
}

// giveBack asks for the money of an order's first line, and has the staff approve.
func giveBack(buyer, staff context.Context, s *shop.Standard, o order) error {
	var res *returnsv1.RequestReturnResponse
	err := retried(buyer, func(ctx context.Context) (err error) {
		res, err = s.Returns.RequestReturn(ctx, &returnsv1.RequestReturnRequest{
			RequestId: "back-" + o.Request, BuyerId: o.Buyer, OrderId: o.ID,
			Kind:   returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY,
			Reason: returnsv1.ReturnReason_RETURN_REASON_DAMAGED,
			Lines:  []*returnsv1.ReturnLineQuantity{{Line: 1, Quantity: 1}},
		})
		return err
	})
	if err != nil {
		return err
	}
	id := res.GetReturn().GetReturnId()
	err = retried(staff, func(ctx context.Context) error {
		req := &returnsv1.ApproveReturnRequest{RequestId: "approve-" + o.Request, ReturnId: id}
		_, err := s.Returns.ApproveReturn(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	return retried(staff, func(ctx context.Context) error {
		req := &returnsv1.RefundReturnRequest{RequestId: "refund-" + o.Request, ReturnId: id}
		_, err := s.Returns.RefundReturn(ctx, req)
		return err
	})
}

// until asks for the order every so often until it is as wanted.
func until(ctx context.Context, s *shop.Standard, o order, every time.Duration,
	wanted func(*orderv1.Order) bool) error {
	for {
		var res *orderv1.GetOrderResponse
		err := retried(ctx, func(ctx context.Context) (err error) {
			res, err = s.Orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: o.Buyer, OrderId: o.ID})
			return err
		})
		if err != nil {
			return fmt.Errorf("asking for the order: %w", err)
		}
		if wanted(res.GetOrder()) {
			return nil
		}
		if !buyers.Wait(ctx, every) {
			return fmt.Errorf("still %s, %s: %w", res.GetOrder().GetState(), res.GetOrder().GetRefundStatus(), ctx.Err())
		}
	}
}

// consumed looks at what the consumers have done and tells whether there is more to wait for.
func (r *run) consumed(staff context.Context, s *shop.Standard, told int64) bool {
	res, err := s.Rewards.GetCampaign(staff, &rewardv1.GetCampaignRequest{Name: r.plan.Campaign()})
	if err != nil {
		return true
	}
	now, err := notified(staff, r.plan.IssuerURL)
	if err != nil {
		return true
	}
	more := false
	r.count(func() {
		r.result.Rewarded, r.result.Notified = res.GetCampaign().GetSpent(), now-told
		more = r.result.Rewarded < r.result.Paid || r.result.Notified < r.result.Paid
	})
	return more
}

func (r *run) deadLetters(staff context.Context, s *shop.Standard) error {
	token := ""
	for {
		var res *deadletterv1.ListDeadLettersResponse
		err := retried(staff, func(ctx context.Context) (err error) {
			req := &deadletterv1.ListDeadLettersRequest{PageSize: 100, PageToken: token}
			res, err = s.DeadLetters.ListDeadLetters(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		r.count(func() { r.result.DeadLetters += int64(len(res.GetDeadLetters())) })
		if token = res.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

// notified is how many payments the demo's push gateway was told of, ever.
func notified(ctx context.Context, outsideURL string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, buyers.AnswerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, outsideURL+"/push/taken", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("push gateway: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("push gateway: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	taken := map[string]int64{}
	if err := json.NewDecoder(res.Body).Decode(&taken); err != nil {
		return 0, fmt.Errorf("push gateway: %w", err)
	}
	return taken[paidEvent], nil
}
