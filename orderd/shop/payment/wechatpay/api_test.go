package wechatpay

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

// answering is a provider whose API answers with a status and a body, signed or not.
func answering(t *testing.T, status int, body string, isSigned bool) *Provider {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if isSigned {
			maps.Copy(w.Header(), signed(t, []byte(body), testNow))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	p := testProvider()
	p.baseURL, p.client, p.notifyURL = server.URL, bounded.NewClient(), "https://shop.example/notifications/wechatpay"
	return p
}

// What the API answers to a refund, and what that means: only WeChat Pay's own signed no is a
// refusal.
func TestAnswers(t *testing.T) {
	r := payment.RefundOrder{
		RefundID: refundID, PaymentID: paymentID, TransactionID: "4200", Amount: 100, Total: 8801, Currency: "CNY",
	}
	done := `{"refund_id":"5030","out_refund_no":"` + number.Of(refundID) + `","status":"SUCCESS",` +
		`"amount":{"total":8801,"refund":100,"currency":"CNY"}}`
	for name, c := range map[string]struct {
		status   int
		body     string
		unsigned bool
		refused  string
		state    payment.RefundState
		reason   string
	}{
		"done": {status: 200, body: done, state: payment.RefundSucceeded},
		"under way": {
			status: 200, body: strings.Replace(done, "SUCCESS", "PROCESSING", 1), state: payment.RefundPending,
			reason: "PROCESSING",
		},
		"the card is closed": {
			status: 200, body: strings.Replace(done, "SUCCESS", "ABNORMAL", 1), state: payment.RefundPending,
			reason: "ABNORMAL",
		},
		"closed": {
			status: 200, body: strings.Replace(done, "SUCCESS", "CLOSED", 1), state: payment.RefundFailed, reason: "CLOSED",
		},
		"another's":           {status: 200, body: strings.Replace(done, number.Of(refundID), number.Of(paymentID), 1)},
		"another amount":      {status: 200, body: strings.Replace(done, `"refund":100`, `"refund":101`, 1)},
		"not signed":          {status: 200, body: done, unsigned: true},
		"no balance":          {status: 403, body: `{"code":"NOT_ENOUGH","message":"基本账户余额不足"}`, refused: "NOT_ENOUGH"},
		"too much":            {status: 400, body: `{"code":"INVALID_REQUEST"}`, refused: "INVALID_REQUEST"},
		"a no nobody signed":  {status: 403, body: `{"code":"NOT_ENOUGH"}`, unsigned: true},
		"not now":             {status: 500, body: `{"code":"SYSTEM_ERROR"}`},
		"too often":           {status: 429, body: `{"code":"FREQUENCY_LIMITED"}`},
		"our signature":       {status: 401, body: `{"code":"SIGN_ERROR"}`, unsigned: true},
		"a redirect":          {status: 302, body: "", unsigned: true},
		"a gateway's page":    {status: 502, body: "<html>", unsigned: true},
		"no JSON":             {status: 200, body: "<html>"},
		"more than is read":   {status: 200, body: strings.Repeat(" ", bounded.MaxAnswer+1)},
		"nothing, but signed": {status: 204, body: ""},
	} {
		got, err := answering(t, c.status, c.body, !c.unsigned).Refund(t.Context(), r)
		var no *payment.RefusedError
		switch {
		case c.state != "":
			if err != nil || got.State != c.state || got.Reason != c.reason {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		case err == nil, errors.As(err, &no) != (c.refused != ""), c.refused != "" && no.Reason != c.refused:
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestErrorsHaveNoPersonalData(t *testing.T) {
	_, err := answering(
		t, 400, `{"code":"PARAM_ERROR","message":"openid oUpF8uMuAJO is wrong"}`, true,
	).Create(t.Context(), payment.Charge{
		PaymentID: paymentID, Amount: 1, Currency: "CNY", Method: jsapi, OpenID: "oUpF8uMuAJO",
		Description: "secret goods", ExpiresAt: testNow.Add(time.Hour),
	})
	if err == nil || strings.Contains(err.Error(), "oUpF8uMuAJO") || strings.Contains(err.Error(), "goods") {
		t.Errorf("%v", err)
	}
}

func TestReturning(t *testing.T) {
	for _, c := range []struct{ target, to, want string }{
		{"https://wx.tenpay.com/x?prepay_id=1&package=2", "", "https://wx.tenpay.com/x?prepay_id=1&package=2"},
		{
			"https://wx.tenpay.com/x?prepay_id=1", "https://shop.example/done?o=1&x=2",
			"https://wx.tenpay.com/x?prepay_id=1&redirect_url=https%3A%2F%2Fshop.example%2Fdone%3Fo%3D1%26x%3D2",
		},
	} {
		if got, err := returning(c.target, c.to); err != nil || got != c.want {
			t.Errorf("%s, %v; want %s", got, err, c.want)
		}
	}
	if _, err := returning("", "https://shop.example"); err == nil {
		t.Error("an answer without a URL was taken")
	}
}

func TestPlain(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"tea", "tea"}, {" a\nb\x00 ", "a b"}, {"茶🍵", "茶"}, {strings.Repeat("茶", 50), strings.Repeat("茶", 42)},
	} {
		if got := plain(c.text, maxDescription); got != c.want {
			t.Errorf("%q became %q", c.text, got)
		}
	}
}
