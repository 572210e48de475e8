package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

const (
	// maxDescription and maxReason are what the API takes, in bytes.
	maxDescription = 127
	maxReason      = 80
)

// amount of a payment or a refund, in fen.
type amount struct {
	Total    int64  `json:"total"`
	Refund   int64  `json:"refund,omitempty"`
	Currency string `json:"currency"`
}

// order is the request of transactions/jsapi, native and h5.
type order struct {
	AppID       string `json:"appid"`
	MerchantID  string `json:"mchid"`
	Description string `json:"description"`
	Number      string `json:"out_trade_no"`
	Expires     string `json:"time_expire,omitempty"`
	NotifyURL   string `json:"notify_url"`
	Amount      amount `json:"amount"`
	Payer       *payer `json:"payer,omitempty"`
	Scene       *scene `json:"scene_info,omitempty"`
}

type payer struct {
	OpenID string `json:"openid"`
}

type scene struct {
	ClientIP string `json:"payer_client_ip"`
	H5       h5Info `json:"h5_info"`
}

type h5Info struct {
	Type string `json:"type"`
}

// Create makes the order at WeChat Pay, or the same one again.
func (p *Provider) Create(ctx context.Context, c payment.Charge) (payment.Session, error) {
	if c.Currency != currency {
		return payment.Session{}, &payment.RefusedError{Reason: "CURRENCY_NOT_SUPPORTED"}
	}
	in := order{
		AppID: p.appID, MerchantID: p.merchantID, Description: plain(c.Description, maxDescription),
		Number: number.Of(c.PaymentID), NotifyURL: p.notifyURL, Amount: amount{Total: c.Amount, Currency: c.Currency},
	}
	if in.Description == "" {
		in.Description = in.Number
	}
	if !c.ExpiresAt.IsZero() {
		in.Expires = c.ExpiresAt.In(china).Format(time.RFC3339)
	}
	switch c.Method {
	case jsapi:
		in.Payer = &payer{OpenID: c.OpenID}
	case h5:
		in.Scene = &scene{ClientIP: c.ClientIP, H5: h5Info{Type: "Wap"}}
	case native:
	default:
		return payment.Session{}, &payment.RefusedError{Reason: "METHOD_UNKNOWN"}
	}
	var out struct {
		PrepayID string `json:"prepay_id"`
		CodeURL  string `json:"code_url"`
		H5URL    string `json:"h5_url"`
	}
	if err := p.call(ctx, http.MethodPost, "/v3/pay/transactions/"+c.Method, in, &out); err != nil {
		if is(err, "ORDERPAID", "ORDER_PAID") {
			return payment.Session{}, fmt.Errorf("wechatpay: creating: %w", payment.ErrPaid)
		}
		return payment.Session{}, outcome("creating an order", err)
	}
	if out.PrepayID == "" && out.CodeURL == "" && out.H5URL == "" {
		return payment.Session{}, errors.New("wechatpay: creating an order: the answer has nowhere to pay")
	}
	if c.Method == jsapi {
		params, err := p.sdkParams(out.PrepayID)
		return payment.Session{SDKParams: params}, err
	}
	if c.Method == native {
		return payment.Session{QRCode: out.CodeURL}, nil
	}
	target, err := returning(out.H5URL, c.ReturnURL)
	return payment.Session{RedirectURL: target}, err
}

// returning adds to the URL of an H5 payment where the buyer goes at its end.
func returning(target, to string) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", errors.New("wechatpay: creating an order: h5_url is no URL")
	}
	if to == "" {
		return target, nil
	}
	query := u.Query()
	query.Set("redirect_url", to)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// transaction is a payment as a query and a notification tell it.
type transaction struct {
	AppID         string    `json:"appid"`
	MerchantID    string    `json:"mchid"`
	Number        string    `json:"out_trade_no"`
	TransactionID string    `json:"transaction_id"`
	State         string    `json:"trade_state"`
	SuccessTime   time.Time `json:"success_time,omitzero"`
	Amount        amount    `json:"amount"`
}

// Query asks for the payment.
func (p *Provider) Query(ctx context.Context, c payment.Charge) (payment.Status, error) {
	var t transaction
	path := "/v3/pay/transactions/out-trade-no/" + number.Of(c.PaymentID) + "?mchid=" + url.QueryEscape(p.merchantID)
	if err := p.call(ctx, http.MethodGet, path, nil, &t); err != nil {
		if is(err, "ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS") {
			return payment.Status{State: payment.StatusNotFound}, nil
		}
		return payment.Status{}, outcome("querying an order", err)
	}
	if t.MerchantID != p.merchantID || t.AppID != p.appID || t.Number != number.Of(c.PaymentID) {
		return payment.Status{}, errors.New("wechatpay: querying an order: the answer is about another")
	}
	out := payment.Status{State: payment.StatusPending}
	switch t.State {
	case "SUCCESS", "REFUND":
		out = payment.Status{
			State: payment.StatusSucceeded, TransactionID: t.TransactionID,
			Amount: t.Amount.Total, Currency: t.Amount.Currency, PaidAt: t.SuccessTime,
		}
	case "CLOSED", "REVOKED":
		out.State = payment.StatusClosed
	case "PAYERROR":
		out.State, out.Reason = payment.StatusFailed, t.State
	}
	return out, nil
}

// Close ends the order at WeChat Pay. One that WeChat Pay never heard of is closed already.
func (p *Provider) Close(ctx context.Context, c payment.Charge) error {
	in := map[string]string{"mchid": p.merchantID}
	err := p.call(ctx, http.MethodPost, "/v3/pay/transactions/out-trade-no/"+number.Of(c.PaymentID)+"/close", in, nil)
	switch {
	case is(err, "ORDER_NOT_EXIST", "ORDERNOTEXIST", "ORDER_CLOSED", "ORDERCLOSED"):
		return nil
	case is(err, "ORDERPAID", "ORDER_PAID"):
		return fmt.Errorf("wechatpay: closing an order: %w", payment.ErrPaid)
	}
	return outcome("closing an order", err)
}

// refund is a refund as a call's answer, a query and a notification tell it.
type refund struct {
	MerchantID    string `json:"mchid"`
	Number        string `json:"out_trade_no"`
	TransactionID string `json:"transaction_id"`
	RefundNumber  string `json:"out_refund_no"`
	RefundID      string `json:"refund_id"`
	Status        string `json:"status"`
	// NotifiedStatus is the notification's name of Status.
	NotifiedStatus string    `json:"refund_status"`
	SuccessTime    time.Time `json:"success_time,omitzero"`
	Amount         amount    `json:"amount"`
}

// refundRequest is the request of refund/domestic/refunds.
type refundRequest struct {
	TransactionID string `json:"transaction_id,omitempty"`
	Number        string `json:"out_trade_no,omitempty"`
	RefundNumber  string `json:"out_refund_no"`
	Reason        string `json:"reason,omitempty"`
	NotifyURL     string `json:"notify_url"`
	Amount        amount `json:"amount"`
}

// Refund asks for the money to be paid back; the same refund id again is the same refund.
func (p *Provider) Refund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	in := refundRequest{
		TransactionID: r.TransactionID, RefundNumber: number.Of(r.RefundID), Reason: plain(r.Reason, maxReason),
		NotifyURL: p.notifyURL,
		Amount:    amount{Total: r.Total, Refund: r.Amount, Currency: r.Currency},
	}
	if r.TransactionID == "" {
		in.Number = number.Of(r.PaymentID)
	}
	var out refund
	if err := p.call(ctx, http.MethodPost, "/v3/refund/domestic/refunds", in, &out); err != nil {
		return payment.RefundStatus{}, outcome("refunding", err)
	}
	return p.refundStatus(out, r)
}

// QueryRefund asks for a refund.
func (p *Provider) QueryRefund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	var out refund
	if err := p.call(ctx, http.MethodGet, "/v3/refund/domestic/refunds/"+number.Of(r.RefundID), nil, &out); err != nil {
		if is(err, "RESOURCE_NOT_EXISTS", "REFUND_NOT_EXISTS", "REFUNDNOTEXIST") {
			return payment.RefundStatus{State: payment.RefundNotFound}, nil
		}
		return payment.RefundStatus{}, outcome("querying a refund", err)
	}
	return p.refundStatus(out, r)
}

func (p *Provider) refundStatus(told refund, r payment.RefundOrder) (payment.RefundStatus, error) {
	if told.RefundNumber != number.Of(r.RefundID) || told.Amount.Refund != r.Amount {
		return payment.RefundStatus{}, errors.New("wechatpay: a refund: the answer is about another, or another amount")
	}
	out := payment.RefundStatus{ProviderRefundID: told.RefundID}
	switch told.Status {
	case "SUCCESS":
		out.State = payment.RefundSucceeded
	case "CLOSED":
		out.State, out.Reason = payment.RefundFailed, told.Status
	default:
		// ABNORMAL, too, is under way: the buyer's card is closed, and the merchant has to say in
		// WeChat Pay's own desk where the money goes. Another refund of it would be refused.
		out.State, out.Reason = payment.RefundPending, told.Status
	}
	return out, nil
}
