package wechatpay

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

// heading is that of an ALL bill, from the document of "Apply for Transaction Bill".
const heading = "\ufeff交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号," +
	"退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"

const summary = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n`2,`88.01,`1.00,`0.00,`0.00000,`88.01,`1.00\r\n"

func billRow(state, refund, total, back, refundState, title string) string {
	refundID := "0"
	if refund != "0" {
		refundID = "5030"
	}
	return "`2026-11-11 10:00:00,`wx1,`1900000001,`0,`,`4200,`" + number.Of(paymentID) + ",`o,`NATIVE,`" + state +
		",`OTHERS,`CNY,`88.01,`0.00,`" + refundID + ",`" + refund +
		",`" + back + ",`0.00,`,`" + refundState + ",`" + title + ",`,`0.53000,`0.60%,`" + total + ",`" + back + ",`\r\n"
}

func TestParseBill(t *testing.T) {
	at := time.Date(2026, 11, 11, 10, 0, 0, 0, china)
	paid := payment.StatementRow{
		Kind: payment.KindPayment, TransactionID: "4200", PaymentID: paymentID, Amount: 8801, Currency: "CNY", At: at,
	}
	back := payment.StatementRow{
		Kind: payment.KindRefund, TransactionID: "5030", PaymentID: paymentID, RefundID: refundID, Amount: 100,
		Currency: "CNY", At: at,
	}
	stranger := paid
	stranger.PaymentID = uuid.Nil
	for name, c := range map[string]struct {
		bill string
		want []payment.StatementRow
		fail bool
	}{
		"none": {bill: heading + summary},
		"a payment": {
			bill: heading + billRow("SUCCESS", "0", "88.01", "0.00", "", "goods") + summary,
			want: []payment.StatementRow{paid},
		},
		"commas in the title": {
			bill: heading + billRow("SUCCESS", "0", "88.01", "0.00", "", `a,b "c",`) + summary,
			want: []payment.StatementRow{paid},
		},
		"a refund": {
			bill: heading + billRow("REFUND", number.Of(refundID), "0.00", "1.00", "SUCCESS", "goods") + summary,
			want: []payment.StatementRow{back},
		},
		"under way": {
			bill: heading + billRow("REFUND", number.Of(refundID), "0.00", "1.00", "PROCESSING", "goods") + summary,
			want: []payment.StatementRow{back},
		},
		"failed": {
			bill: heading + billRow("REFUND", number.Of(refundID), "0.00", "1.00", "FAIL", "goods") + summary,
		},
		"another's number": {
			bill: strings.Replace(
				heading+billRow("SUCCESS", "0", "88.01", "0.00", "", "")+summary, number.Of(paymentID), "T1", 1,
			),
			want: []payment.StatementRow{stranger},
		},
		"cut off":       {bill: heading + billRow("SUCCESS", "0", "88.01", "0.00", "", "goods"), fail: true},
		"an odd amount": {bill: heading + billRow("SUCCESS", "0", "88.011", "0.00", "", "goods") + summary, fail: true},
		"nothing":       {bill: "", fail: true},
		"an error page": {bill: "<html>\r\n<body>\r\n", fail: true},
	} {
		var got []payment.StatementRow
		err := parseBill([]byte(c.bill), func(r payment.StatementRow) error { got = append(got, r); return nil })
		if (err != nil) != c.fail {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" && !c.fail {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzBill(f *testing.F) {
	f.Add([]byte(heading + billRow("SUCCESS", "0", "88.01", "0.00", "", "goods") + summary))
	f.Add([]byte(heading + billRow("REFUND", number.Of(refundID), "0.00", "1.00", "SUCCESS", "a,b") + summary))
	f.Add([]byte("总交易单数"))
	f.Fuzz(func(t *testing.T, bill []byte) {
		_ = parseBill(bill, func(r payment.StatementRow) error {
			if r.Kind == "" || r.At.IsZero() {
				t.Fatalf("half a row: %+v", r)
			}
			return nil
		})
	})
}
