package alipay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/decimal"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

const (
	// maxSubject and maxReason are what the API takes, in characters.
	maxSubject = 256
	maxReason  = 256
)

// products by method: the API's method and its product code.
var products = map[string]struct{ method, code string }{
	page:      {"alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"},
	wap:       {"alipay.trade.wap.pay", "QUICK_WAP_WAY"},
	app:       {"alipay.trade.app.pay", "QUICK_MSECURITY_PAY"},
	precreate: {"alipay.trade.precreate", "FACE_TO_FACE_PAYMENT"},
}

// trade is the biz_content of a new trade.
type trade struct {
	Number  string `json:"out_trade_no"`
	Amount  string `json:"total_amount"`
	Subject string `json:"subject"`
	Product string `json:"product_code"`
	Expires string `json:"time_expire,omitempty"`
}

// Create signs an order, which becomes a trade when the buyer opens it; only precreate calls Alipay.
func (p *Provider) Create(ctx context.Context, c payment.Charge) (payment.Session, error) {
	product, ok := products[c.Method]
	switch {
	case c.Currency != currency:
		return payment.Session{}, &payment.RefusedError{Reason: "CURRENCY_NOT_SUPPORTED"}
	case !ok:
		return payment.Session{}, &payment.RefusedError{Reason: "METHOD_UNKNOWN"}
	}
	biz := trade{
		Number: number.Of(c.PaymentID), Amount: decimal.Format(c.Amount), Subject: subject(c.Description),
		Product: product.code,
	}
	if biz.Subject == "" {
		biz.Subject = biz.Number
	}
	if !c.ExpiresAt.IsZero() {
		biz.Expires = c.ExpiresAt.In(china).Format(time.DateTime)
	}
	more := map[string]string{"notify_url": p.notifyURL}
	if c.Method == precreate {
		var out struct {
			QRCode string `json:"qr_code"`
		}
		if err := p.call(ctx, product.method, biz, &out, more); err != nil {
			if is(err, "ACQ.TRADE_HAS_SUCCESS") {
				return payment.Session{}, fmt.Errorf("alipay: creating: %w", payment.ErrPaid)
			}
			return payment.Session{}, outcome("creating a trade", err)
		}
		if out.QRCode == "" {
			return payment.Session{}, errors.New("alipay: creating a trade: the answer has nowhere to pay")
		}
		return payment.Session{QRCode: out.QRCode}, nil
	}
	if c.Method != app {
		more["return_url"] = c.ReturnURL
	}
	values, err := p.request(product.method, biz, more)
	if err != nil {
		return payment.Session{}, fmt.Errorf("alipay: %w", err)
	}
	if c.Method == app {
		return payment.Session{SDKParams: map[string]string{"orderString": values.Encode()}}, nil
	}
	return payment.Session{RedirectURL: p.gateway + "?" + values.Encode()}, nil
}

// subject keeps a description free of what Alipay does not take: /, = and & and what cannot be
// printed.
func subject(text string) string {
	var out []rune
	for _, r := range text {
		if r < ' ' || r == 0x7f || r > 0xffff || strings.ContainsRune("/=&", r) {
			r = ' '
		}
		if len(out) == maxSubject {
			break
		}
		out = append(out, r)
	}
	return strings.TrimSpace(string(out))
}

// tradeStatus is the answer of alipay.trade.query.
type tradeStatus struct {
	Number  string `json:"out_trade_no"`
	TradeNo string `json:"trade_no"`
	Status  string `json:"trade_status"`
	Amount  string `json:"total_amount"`
	PaidAt  string `json:"send_pay_date"`
}

// Query asks for the payment. A page that no buyer has opened is not known to Alipay.
func (p *Provider) Query(ctx context.Context, c payment.Charge) (payment.Status, error) {
	var t tradeStatus
	biz := map[string]string{"out_trade_no": number.Of(c.PaymentID)}
	if err := p.call(ctx, "alipay.trade.query", biz, &t, nil); err != nil {
		if is(err, "ACQ.TRADE_NOT_EXIST") {
			return payment.Status{State: payment.StatusNotFound}, nil
		}
		return payment.Status{}, outcome("querying a trade", err)
	}
	if t.Number != number.Of(c.PaymentID) {
		return payment.Status{}, errors.New("alipay: querying a trade: the answer is about another")
	}
	paidAt, paid := chinaTime(t.PaidAt)
	switch {
	case t.Status == "TRADE_SUCCESS", t.Status == "TRADE_FINISHED", t.Status == "TRADE_CLOSED" && paid:
		// TRADE_CLOSED is what nobody paid, and also what was paid back in full: the time of the
		// payment tells them apart.
		minor, err := decimal.Parse(t.Amount)
		if err != nil {
			return payment.Status{}, fmt.Errorf("alipay: querying a trade: total_amount: %w", err)
		}
		return payment.Status{
			State: payment.StatusSucceeded, TransactionID: t.TradeNo, Amount: minor, Currency: currency, PaidAt: paidAt,
		}, nil
	case t.Status == "TRADE_CLOSED":
		return payment.Status{State: payment.StatusClosed}, nil
	}
	return payment.Status{State: payment.StatusPending}, nil
}

func chinaTime(text string) (time.Time, bool) {
	at, err := time.ParseInLocation(time.DateTime, text, china)
	return at, err == nil
}

// Close ends the trade at Alipay. One that does not exist needs no end: an order that was signed
// before it can be opened until its time is over, and a payment then follows the rule for late
// ones.
func (p *Provider) Close(ctx context.Context, c payment.Charge) error {
	var out struct{}
	err := p.call(ctx, "alipay.trade.close", map[string]string{"out_trade_no": number.Of(c.PaymentID)}, &out, nil)
	switch {
	case is(err, "ACQ.TRADE_NOT_EXIST"):
		return nil
	case !is(err, "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS"):
		return outcome("closing a trade", err)
	}
	// It is paid, or closed already: only a query tells which.
	status, queryErr := p.Query(ctx, c)
	switch {
	case queryErr != nil:
		return queryErr
	case status.State == payment.StatusSucceeded:
		return fmt.Errorf("alipay: closing a trade: %w", payment.ErrPaid)
	case status.State == payment.StatusClosed:
		return nil
	}
	return fmt.Errorf("alipay: closing a trade: %w", err)
}

// refundRequest is the biz_content of alipay.trade.refund.
type refundRequest struct {
	Number  string `json:"out_trade_no,omitempty"`
	TradeNo string `json:"trade_no,omitempty"`
	Amount  string `json:"refund_amount"`
	Reason  string `json:"refund_reason,omitempty"`
	Request string `json:"out_request_no"`
}

// Refund pays money back; the same refund id again is the same refund. Alipay is done when it
// answers that funds moved.
func (p *Provider) Refund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	biz := refundRequest{
		TradeNo: r.TransactionID, Amount: decimal.Format(r.Amount), Reason: reason(r.Reason),
		Request: number.Of(r.RefundID),
	}
	if r.TransactionID == "" {
		biz.Number = number.Of(r.PaymentID)
	}
	var out struct {
		Number     string `json:"out_trade_no"`
		FundChange string `json:"fund_change"`
	}
	if err := p.call(ctx, "alipay.trade.refund", biz, &out, nil); err != nil {
		return payment.RefundStatus{}, outcome("refunding", err)
	}
	if out.Number != number.Of(r.PaymentID) {
		return payment.RefundStatus{}, errors.New("alipay: refunding: the answer is about another")
	}
	if out.FundChange == "Y" {
		return payment.RefundStatus{State: payment.RefundSucceeded, ProviderRefundID: biz.Request}, nil
	}
	// No funds moved this time: it was done before, or is not done yet.
	return p.QueryRefund(ctx, r)
}

func reason(text string) string {
	out := []rune(subject(text))
	return string(out[:min(len(out), maxReason)])
}

// QueryRefund asks for a refund. Alipay has no id of its own for it, so that ProviderRefundID is
// our number.
func (p *Provider) QueryRefund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	biz := map[string]string{"out_request_no": number.Of(r.RefundID)}
	if r.TransactionID != "" {
		biz["trade_no"] = r.TransactionID
	} else {
		biz["out_trade_no"] = number.Of(r.PaymentID)
	}
	var out struct {
		Request string `json:"out_request_no"`
		Status  string `json:"refund_status"`
		Amount  string `json:"refund_amount"`
	}
	if err := p.call(ctx, "alipay.trade.fastpay.refund.query", biz, &out, nil); err != nil {
		if is(err, "ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST", "ACQ.REFUND_NOT_EXIST") {
			return payment.RefundStatus{State: payment.RefundNotFound}, nil
		}
		return payment.RefundStatus{}, outcome("querying a refund", err)
	}
	if out.Status != "REFUND_SUCCESS" {
		// Alipay says nothing of a refund that it did not get, or that failed; both may be asked
		// for again with the same number.
		return payment.RefundStatus{State: payment.RefundNotFound}, nil
	}
	minor, err := decimal.Parse(out.Amount)
	if err != nil || minor != r.Amount || out.Request != number.Of(r.RefundID) {
		return payment.RefundStatus{}, errors.New("alipay: querying a refund: the answer is about another, or another amount")
	}
	return payment.RefundStatus{State: payment.RefundSucceeded, ProviderRefundID: out.Request}, nil
}
