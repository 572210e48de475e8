package alipay

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

// signedNode is an answer with a node that is signed as it should be.
func signedNode(t *testing.T, method, node string) string {
	t.Helper()
	signature, err := rsasign.Sign(testKey(), []byte(node))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"%s_response":%s,"sign":%q}`, strings.ReplaceAll(method, ".", "_"), node, signature)
}

// What the gateway answers, and what that means: only Alipay's own signed no is a refusal.
func TestAnswers(t *testing.T) {
	order := payment.RefundOrder{
		RefundID: refundID, PaymentID: paymentID, TransactionID: "2026111122", Amount: 100, Total: 8801, Currency: "CNY",
	}
	done := fmt.Sprintf(`{"code":"10000","msg":"Success","fund_change":"Y","out_trade_no":%q,"refund_fee":"1.00"}`,
		number.Of(paymentID))
	for name, c := range map[string]struct {
		status  int
		body    string
		refused string
		ok      bool
	}{
		"done": {200, signedNode(t, "alipay.trade.refund", done), "", true},
		"spaces and an escape": {
			200, signedNode(t, "alipay.trade.refund", strings.Replace(done, `"msg":"Success"`, `"msg" : "a\/b"`, 1)), "",
			true,
		},
		"about another": {
			200, signedNode(t, "alipay.trade.refund", strings.Replace(done, number.Of(paymentID), number.Of(uuid.New()), 1)),
			"", false,
		},
		"refused": {
			200, signedNode(t, "alipay.trade.refund", `{"code":"40004","sub_code":"ACQ.SELLER_BALANCE_NOT_ENOUGH"}`),
			"ACQ.SELLER_BALANCE_NOT_ENOUGH", false,
		},
		"a system's error": {
			200, signedNode(t, "alipay.trade.refund", `{"code":"40004","sub_code":"ACQ.SYSTEM_ERROR"}`), "", false,
		},
		"not now": {
			200, signedNode(t, "alipay.trade.refund", `{"code":"20000","sub_code":"isp.unknow-error"}`), "", false,
		},
		"no rights": {
			200, signedNode(t, "alipay.trade.refund", `{"code":"40006","sub_code":"isv.insufficient-isv-permissions"}`), "",
			false,
		},
		"another method's": {200, signedNode(t, "alipay.trade.query", done), "", false},
		"not signed":       {200, `{"alipay_trade_refund_response":{"code":"40004","sub_code":"ACQ.X"}}`, "", false},
		"error_response":   {200, `{"error_response":{"code":"40002","sub_code":"isv.invalid-signature"}}`, "", false},
		"a gateway's page": {502, "<html>", "", false},
		"nothing":          {200, "", "", false},
		"too much":         {200, strings.Repeat(" ", bounded.MaxAnswer+1), "", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		p := testProvider()
		p.gateway, p.client = server.URL, bounded.NewClient()
		status, err := p.Refund(t.Context(), order)
		server.Close()
		var refused *payment.RefusedError
		switch {
		case c.ok:
			if err != nil || status.State != payment.RefundSucceeded {
				t.Errorf("%s: %+v, %v", name, status, err)
			}
		case errors.As(err, &refused) != (c.refused != ""), c.refused != "" && refused.Reason != c.refused, err == nil:
			t.Errorf("%s: %+v, %v", name, status, err)
		}
	}
}

func TestSubject(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"tea", "tea"}, {"a/b=c&d", "a b c d"}, {" 订单\n1 ", "订单 1"}, {"茶🍵", "茶"},
		{strings.Repeat("茶", 300), strings.Repeat("茶", maxSubject)},
	} {
		if got := subject(c.text); got != c.want {
			t.Errorf("%q became %q", c.text, got)
		}
	}
}
