package alipay

import (
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/decimal"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

const (
	// maxAge of a notification: Alipay goes on for 24 hours and 22 minutes.
	maxAge = 26 * time.Hour
	// tolerance is how far in the future its time may be.
	tolerance = 5 * time.Minute

	maxIDBytes    = 64
	maxParameters = 128
)

// ParseNotification verifies a notification's signature and age and checks whose it is.
func (p *Provider) ParseNotification(_ http.Header, raw []byte, now time.Time) (payment.Notification, error) {
	values, err := url.ParseQuery(string(raw))
	if err != nil || len(values) > maxParameters {
		return payment.Notification{}, malformed()
	}
	for _, list := range values {
		// Which of two values was signed cannot be told.
		if len(list) != 1 {
			return payment.Notification{}, malformed()
		}
	}
	switch {
	case values.Get("sign") == "":
		return payment.Notification{}, &payment.NotificationError{Reason: "SIGNATURE_MISSING"}
	case values.Get("sign_type") != "RSA2",
		rsasign.Verify(p.alipayKey, content(values, "sign", "sign_type"), values.Get("sign")) != nil:
		return payment.Notification{}, &payment.NotificationError{Reason: "SIGNATURE_WRONG"}
	}
	at, ok := chinaTime(values.Get("notify_time"))
	if age := now.Sub(at); !ok || age > maxAge || age < -tolerance {
		return payment.Notification{}, &payment.NotificationError{Reason: "TOO_OLD"}
	}
	if values.Get("app_id") != p.appID || values.Get("seller_id") != p.sellerID {
		return payment.Notification{}, &payment.NotificationError{Reason: payment.ReasonMerchantWrong}
	}
	return p.read(values, raw)
}

func malformed() error { return &payment.NotificationError{Reason: "MALFORMED"} }

// read reads a notification that is believed.
func (p *Provider) read(values url.Values, raw []byte) (payment.Notification, error) {
	id, err := number.Parse(values.Get("out_trade_no"))
	minor, amountErr := decimal.Parse(values.Get("total_amount"))
	tradeNo := values.Get("trade_no")
	if err != nil || amountErr != nil || minor <= 0 || tradeNo == "" || len(tradeNo) > maxIDBytes {
		return payment.Notification{}, malformed()
	}
	n := payment.Notification{
		Kind: payment.KindPayment, TransactionID: tradeNo, PaymentID: id, Amount: minor, Currency: currency, Raw: raw,
	}
	if other := values.Get("trans_currency"); other != "" {
		// Only a trade of another product has it.
		n.Currency = other
	}
	if paidAt, ok := chinaTime(values.Get("gmt_payment")); ok {
		n.PaidAt = paidAt
	}
	switch status := values.Get("trade_status"); {
	case values.Get("gmt_refund") != "" || values.Get("refund_fee") != "":
		// Alipay's answer to the refund has said what became of it. This has the sum of all refunds
		// and not one's amount.
		n.Ignore = true
	case status == "TRADE_SUCCESS" || status == "TRADE_FINISHED":
		n.Success = true
	case status == "TRADE_CLOSED":
		// Its time was over, or it was closed.
		n.Reason = status
	default:
		// WAIT_BUYER_PAY: nothing happened yet.
		n.Ignore = true
	}
	return n, nil
}

// Answer is the text success for a notification that was taken, and another for one to be sent again.
func (p *Provider) Answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := "success"
	if err != nil {
		text = "fail"
	}
	_, _ = io.WriteString(w, text)
}
