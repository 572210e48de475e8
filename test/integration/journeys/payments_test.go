package journeys

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
)

func (j *journey) createPayment() {
	if o, ok := one(j, j.orders, func(o *order) bool { return o.state == pending || j.chance(8) }); ok {
		j.createPaymentFor(o)
	}
}

// createPaymentFor starts a payment; also says what else the answer may be while an order's time
// to be paid runs out.
func (j *journey) createPaymentFor(o *order, also ...string) *payment {
	j.logf("create a payment for %s, %s", o.id, o.state)
	answer, err := ask(o.buyer.as.payments.CreatePayment,
		&paymentv1.CreatePaymentRequest{RequestId: j.requestID(), OrderId: o.id, Provider: sandbox.Name})
	switch {
	case o.state != pending:
		j.expect(err, "ORDER_STATE_CONFLICT")
	case err != nil && len(also) > 0:
		j.expect(err, also...)
	default:
		j.expect(err)
	}
	if err != nil {
		return nil
	}
	if answer.GetPayment().GetAmount().GetAmount() != o.total {
		j.fail("payment of %v for %d", answer.GetPayment(), o.total)
	}
	p := &payment{id: answer.GetPayment().GetPaymentId(), url: answer.GetRedirectUrl(), order: o}
	o.payments = append(o.payments, p)
	return p
}

// pay pays an order in time: at the provider's page, often twice at the same moment.
func (j *journey) pay() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.state == pending })
	if !ok {
		return
	}
	if len(o.payments) == 0 && j.createPaymentFor(o) == nil {
		return
	}
	p, _ := any1(j, o.payments)
	j.logf("pay %s by %s", o.id, p.id)
	call := func() (int, error) { return p.page() }
	calls := []func() (int, error){call}
	if j.chance(3) {
		calls = append(calls, call)
	}
	for _, r := range atOnce(calls) {
		j.must(r.err)
		if r.answer != http.StatusOK {
			j.fail("paying %s: the page answered %d", o.id, r.answer)
		}
	}
	p.settle()
	j.read(o)
}

// page posts to the payment's page until it says what became of it.
func (p *payment) page() (status int, err error) {
	err = until("the page of payment "+p.id+" answers", func() (bool, error) {
		status, err = post(p.url, nil, nil)
		return err == nil && status < 500, nil
	})
	return status, err
}

func post(url string, body []byte, header http.Header) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = header
	if header == nil {
		req.Header = http.Header{}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, nil
}

// payAgain is a buyer whose payment goes through whatever state the order and the payment are in:
// late, or one too many.
func (j *journey) payAgain() {
	o, ok := one(j, j.orders, func(o *order) bool {
		for _, p := range o.payments {
			if !p.succeeded {
				return true
			}
		}
		return false
	})
	if !ok {
		return
	}
	p, _ := one(j, o.payments, func(p *payment) bool { return !p.succeeded })
	j.logf("money for %s, %s, by %s", o.id, o.state, p.id)
	j.must(j.w.takeMoney(p))
	j.must(j.w.notify(p))
	p.settle()
	j.read(o)
}

// takeMoney has the provider take the buyer's money, also where it had closed the payment.
func (w *world) takeMoney(p *payment) error {
	_, err := w.pool.Exec(context.Background(),
		`INSERT INTO sandbox_transactions (payment_id, refund_id, state, transaction_id, amount, currency, at)
		VALUES ($1, $2, 'PAID', $3, $4, $5, $6) ON CONFLICT (payment_id, refund_id) DO UPDATE SET state = 'PAID', transaction_id = excluded.transaction_id`,
		p.id, uuid.Nil, "sandbox-"+p.id, p.order.total, currency, time.Now())
	return err
}

// notify sends the provider's word of a payment until it is taken.
func (w *world) notify(p *payment) error {
	raw, err := json.Marshal(map[string]any{
		"transaction_id": "sandbox-" + p.id,
		"payment_id":     p.id,
		"merchant":       cluster,
		"amount":         p.order.total,
		"currency":       currency,
		"status":         "SUCCESS",
	})
	if err != nil {
		return err
	}
	return until("the notification of payment "+p.id+" is taken", func() (bool, error) {
		status, err := post(w.url+"/notifications/sandbox", raw,
			http.Header{sandbox.SignatureHeader: {w.provider.Sign(raw, time.Now())}})
		if err == nil && status/100 == 4 {
			return false, fmt.Errorf("the notification of payment %s: %d", p.id, status)
		}
		return err == nil && status/100 == 2, nil
	})
}

// notifyAgain repeats a notification that was taken, several times at once.
func (j *journey) notifyAgain() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.everPaid })
	if !ok {
		return
	}
	p, ok := one(j, o.payments, func(p *payment) bool { return p.succeeded })
	if !ok {
		return
	}
	j.logf("the provider says again that %s is paid", o.id)
	call := func() (struct{}, error) { return struct{}{}, j.w.notify(p) }
	for _, r := range atOnce([]func() (struct{}, error){call, call, call}) {
		j.must(r.err)
	}
	j.read(o)
}

// cancelWhilePaying is a buyer who pays and cancels at the same moment: either comes
// first, and both succeed.
func (j *journey) cancelWhilePaying() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.state == pending })
	if !ok {
		return
	}
	if len(o.payments) == 0 && j.createPaymentFor(o) == nil {
		return
	}
	p, _ := any1(j, o.payments)
	j.logf("pay %s by %s and cancel it", o.id, p.id)
	j.must(j.w.takeMoney(p))
	req := &orderv1.CancelOrderRequest{RequestId: j.requestID(), OrderId: o.id}
	results := atOnce([]func() (*orderv1.CancelOrderResponse, error){
		func() (*orderv1.CancelOrderResponse, error) { return ask(o.buyer.as.orders.CancelOrder, req) },
		func() (*orderv1.CancelOrderResponse, error) { return nil, j.w.notify(p) },
	})
	if rpcerr.Reason(results[0].err) != "" {
		j.expect(results[0].err)
	}
	j.must(results[0].err)
	j.must(results[1].err)
	answer, err := ask(o.buyer.as.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: o.id})
	j.expect(err)
	switch stateOf(answer.GetOrder()) {
	case paid:
		o.release()
		p.settle()
	case cancelled:
		p.settle()
		o.cancelPaid()
	}
	j.logf("  it is %s", o.state)
	j.checkOrder(o, answer.GetOrder())
}
