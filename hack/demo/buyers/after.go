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
)

const (
	// One order in so many is sent to its buyer; of these, one in so many comes back.
	oneSentIn, oneReturnedIn = 20, 10
	paidEvent                = "paid"
)

// share is a number of the order, always the same.
func share(o order) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(o.id)) // Never fails.
	return h.Sum32()
}

// among tells whether the order is one in so many.
func among(o order, oneIn uint32) bool { return share(o)%oneIn == 0 }

// deliver gives an order its address, if it is one of those that are sent.
func (l *ledger) deliver(ctx context.Context, s *shop.Standard, o order) error {
	if !among(o, oneSentIn) {
		return nil
	}
	return retried(l.as(ctx, o.buyerID), func(ctx context.Context) error {
		_, err := s.Orders.SetDelivery(ctx, &orderv1.SetDeliveryRequest{
			RequestId: "to-" + o.requestID, BuyerId: o.buyerID, OrderId: o.id,
			Delivery: &quotev1.Delivery{Address: &addressv1.Address{
				Recipient: "A buyer", Phone: "+86 10 5550 0100", Country: "CN", Region: "Beijing", City: "Beijing", Street: "1 Example Road",
			}},
		})
		return err
	})
}

// after waits until what follows from the payments has happened: rewards, messages, parcels, and money back for what is
// returned.
func (l *ledger) after(ctx context.Context, s *shop.Standard, told int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.plan.AfterSeconds)*time.Second)
	defer cancel()
	staff, err := shop.AsStaff(ctx, l.plan.IssuerURL, "marketing", "operations", "returns")
	if err != nil {
		l.broken("signing in as staff: %v", err)
		return
	}
	orders, _ := l.snapshot()
	var sent []order
	for _, o := range orders {
		if among(o, oneSentIn) {
			sent = append(sent, o)
		}
	}
	l.count(func() { l.result.Sent = int64(len(sent)) })
	parcels := make(chan struct{})
	go func() {
		defer close(parcels)
		each(sent, func(o order) { l.receive(ctx, staff, s, o) })
	}()
	for l.consumed(staff, s, told) && wait(ctx, time.Second) {
		continue
	}
	<-parcels
	if err := l.deadLetters(staff, s); err != nil {
		l.broken("listing dead letters: %v", err)
	}
}

// receive waits for the order's parcel, and sends some back for their money.
func (l *ledger) receive(ctx, staff context.Context, s *shop.Standard, o order) {
	buyer := l.as(ctx, o.buyerID)
	delivered := func(got *orderv1.Order) bool { return got.GetState() == orderv1.OrderState_ORDER_STATE_DELIVERED }
	if err := until(buyer, s, o, delivered); err != nil {
		l.broken("order %s is not delivered: %v", o.id, err)
		return
	}
	l.count(func() { l.result.Delivered++ })
	if !among(o, oneSentIn*oneReturnedIn) {
		return
	}
	l.count(func() { l.result.Returned++ })
	if err := giveBack(buyer, staff, s, o); err != nil {
		l.broken("returning order %s: %v", o.id, err)
		return
	}
	refunded := func(got *orderv1.Order) bool {
		return got.GetRefundStatus() >= orderv1.RefundStatus_REFUND_STATUS_PARTIALLY_REFUNDED
	}
	if err := until(buyer, s, o, refunded); err != nil {
		l.broken("order %s is not refunded: %v", o.id, err)
		return
	}
	l.count(func() { l.result.Refunded++ })
}

// giveBack asks for the money of an order's first line, and has the staff approve.
func giveBack(buyer, staff context.Context, s *shop.Standard, o order) error {
	var res *returnsv1.RequestReturnResponse
	err := retried(buyer, func(ctx context.Context) (err error) {
		res, err = s.Returns.RequestReturn(ctx, &returnsv1.RequestReturnRequest{
			RequestId: "back-" + o.requestID, BuyerId: o.buyerID, OrderId: o.id, Kind: returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY,
			Reason: returnsv1.ReturnReason_RETURN_REASON_DAMAGED, Lines: []*returnsv1.ReturnLineQuantity{{Line: 1, Quantity: 1}},
		})
		return err
	})
	if err != nil {
		return err
	}
	id := res.GetReturn().GetReturnId()
	err = retried(staff, func(ctx context.Context) error {
		_, err := s.Returns.ApproveReturn(ctx, &returnsv1.ApproveReturnRequest{RequestId: "approve-" + o.requestID, ReturnId: id})
		return err
	})
	if err != nil {
		return err
	}
	return retried(staff, func(ctx context.Context) error {
		_, err := s.Returns.RefundReturn(ctx, &returnsv1.RefundReturnRequest{RequestId: "refund-" + o.requestID, ReturnId: id})
		return err
	})
}

// until asks for the order until it is as wanted.
func until(ctx context.Context, s *shop.Standard, o order, wanted func(*orderv1.Order) bool) error {
	for {
		var res *orderv1.GetOrderResponse
		err := retried(ctx, func(ctx context.Context) (err error) {
			res, err = s.Orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: o.buyerID, OrderId: o.id})
			return err
		})
		if err != nil {
			return err
		}
		if wanted(res.GetOrder()) {
			return nil
		}
		if !wait(ctx, time.Second) {
			return fmt.Errorf("still %s, %s: %w", res.GetOrder().GetState(), res.GetOrder().GetRefundStatus(), ctx.Err())
		}
	}
}

// consumed looks at what the consumers have done and tells whether there is more to wait for.
func (l *ledger) consumed(staff context.Context, s *shop.Standard, told int64) bool {
	res, err := s.Rewards.GetCampaign(staff, &rewardv1.GetCampaignRequest{Name: l.plan.Campaign()})
	if err != nil {
		return true
	}
	now, err := notified(staff, l.plan.IssuerURL)
	if err != nil {
		return true
	}
	more := false
	l.count(func() {
		l.result.Rewarded, l.result.Notified = res.GetCampaign().GetSpent(), now-told
		more = l.result.Rewarded < l.result.Paid || l.result.Notified < l.result.Paid
	})
	return more
}

func (l *ledger) deadLetters(staff context.Context, s *shop.Standard) error {
	token := ""
	for {
		var res *deadletterv1.ListDeadLettersResponse
		err := retried(staff, func(ctx context.Context) (err error) {
			res, err = s.DeadLetters.ListDeadLetters(ctx, &deadletterv1.ListDeadLettersRequest{PageSize: 100, PageToken: token})
			return err
		})
		if err != nil {
			return err
		}
		l.count(func() { l.result.DeadLetters += int64(len(res.GetDeadLetters())) })
		if token = res.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

// notified is how many payments the demo's push gateway was told of, ever.
func notified(ctx context.Context, outsideURL string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
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
