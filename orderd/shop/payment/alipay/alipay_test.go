package alipay

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

var testNow = time.Date(2026, 11, 11, 2, 0, 0, 0, time.UTC)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func testProvider() *Provider {
	return &Provider{
		appID: "2026000000000001", sellerID: "2088000000000001",
		gateway: "https://openapi.alipay.com/gateway.do", notifyURL: "https://shop.example/notifications/alipay",
		key: testKey(), alipayKey: &testKey().PublicKey, now: func() time.Time { return testNow },
	}
}

// An answer of Alipay's gateway with Alipay's public key, from TestSyncVerifySign in
// alipay/sign_test.go of github.com/go-pay/gopay; Alipay's own pages print none whose key is known.
func TestPublishedAnswer(t *testing.T) {
	const node = `{"code":"10000","msg":"Success","buyer_logon_id":"854***@qq.com","buyer_pay_amount":"0.01",` +
		`"buyer_user_id":"2088102363632794",` +
		`"fund_bill_list":[{"amount":"0.01","fund_channel":"PCREDIT"}],"gmt_payment":"2019-08-29 20:14:05",` +
		`"invoice_amount":"0.01",` +
		`"out_trade_no":"GZ201901301040361012","point_amount":"0.00","receipt_amount":"0.01","total_amount":"0.01",` +
		`"trade_no":"2019082922001432790585537960"}`
	const signature = "bk3SzX0CZRI811IJioS2XKQHcgMixUT8mYyGQj+vcOAQas7GIYi6LpykqqSc3m7+yvqoG0TdX/c2JjYnpw/J53JxtC2IC4vs" +
		"LuIPIgghVo5qafsfSxEJ22w20RZDatI2dYqFVcj8Jp+4aesQ" +
		"8zMMNw7cX9NLyk7kw3DecYeyQp+zrZMueZPqLh88Z+54G+e6QuSU++0ouqQVd4PkpPqy6YI+8MdMUX4Ve0jOQxMmYH8BC6n5ZsTH/uEaLEtzYVZdS" +
		"w/xdSQ7K1SH73aEH8XbRYx6rL7RkKksrdvhezX+" +
		"ThDjQ+fTWjvNFrGcg3fmqXRy2elvoalu+BQmqlkWWjEJYA=="
	const key = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAp8gueNlkbiDidz6FBQEBpqoRgH8h7JtsPtYW0nzAqy1MME4mFnDSMfSKlr" +
		"eUomS3a55gmBopL1eF4/Km/dEnaL5tCY9+24SKn1D4iyls" +
		"+lvz/ZjvUjVwxoUYBh8kkcxMZSDeDz8//o+9qZTrICVP2a4sBB8T0XmU4gxfw8FsmtoomBH1nLk3AO7wgRN2a3+SRSAmxrhIGDmF1lljSlhY32eJp" +
		"J2TZQKaWNW+7yDBU/0Wt3kQVY84vr14yYagnSCi" +
		"IfqyVFqePayRtmVJDr5qvSXr51tdqs2zKZCu+26X7JAF4BSsaq4gmY5DmDTm4TohCnBduI1+bPGD+igVmtl05wIDAQAB"
	public, err := rsasign.ParsePublicKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{alipayKey: public}
	body := ` {"alipay_trade_pay_response": ` + node + ` , "sign": "` + signature + `"}`
	got, err := p.verified("alipay.trade.pay", []byte(body))
	if err != nil || string(got) != node {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := p.verified("alipay.trade.pay", []byte(strings.Replace(body, `"0.01"`, `"0.02"`, 1))); err == nil {
		t.Error("another amount was believed")
	}
	if _, err := p.verified("alipay.trade.query", []byte(body)); err == nil {
		t.Error("the answer to another method was believed")
	}
}

// The parameters of the example in the document of Alipay's key tool ("Sign"): sorted, without what
// is empty and without sign.
func TestContent(t *testing.T) {
	got := content(url.Values{
		"timestamp": {"2019-01-01 08:09:33"}, "method": {"alipay.trade.create"}, "app_id": {"20135234674"},
		"sign_type": {"RSA2"}, "notify_url": {""}, "sign": {"x"},
		"biz_content": {`{"total_amount":"10.08", "buyer_id":"2088123456781234", "discount_amount":""}`},
	}, "sign")
	const want = `app_id=20135234674&biz_content={"total_amount":"10.08", "buyer_id":"2088123456781234", ` +
		`"discount_amount":""}&method=alipay.trade.create&sign_type=RSA2&timestamp=2019-01-01 08:09:33`
	if string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

var (
	paymentID = uuid.MustParse("0197e1c2-0000-4000-8000-00000000000a")
	refundID  = uuid.MustParse("0197e1c2-0000-4000-8000-00000000000b")
)

// form is a notification, changed and then signed.
func form(t testing.TB, change map[string]string) url.Values {
	t.Helper()
	values := url.Values{}
	for name, value := range map[string]string{
		"notify_time": "2026-11-11 10:00:00", "notify_id": "1", "notify_type": "trade_status_sync",
		"app_id": "2026000000000001", "seller_id": "2088000000000001",
		"trade_no": "2026111122", "out_trade_no": number.Of(paymentID), "trade_status": "TRADE_SUCCESS",
		"total_amount": "88.01", "subject": "订单 a=b&c", "body": "",
		"gmt_payment": "2026-11-11 09:59:58", "charset": "utf-8", "version": "1.0",
	} {
		values.Set(name, value)
	}
	for name, value := range change {
		values.Set(name, value)
	}
	signature, err := rsasign.Sign(testKey(), content(values))
	if err != nil {
		t.Fatal(err)
	}
	values.Set("sign", signature)
	values.Set("sign_type", "RSA2")
	return values
}

// formCase is a form and what it is read as, or why it is not believed.
type formCase struct {
	values url.Values
	want   payment.Notification
	reason string
}

// believedForms are those that say something.
func believedForms(t *testing.T) map[string]formCase {
	paid := payment.Notification{
		Kind: payment.KindPayment, TransactionID: "2026111122", PaymentID: paymentID, Amount: 8801, Currency: "CNY",
		Success: true, PaidAt: time.Date(2026, 11, 11, 9, 59, 58, 0, china),
	}
	with := func(change func(*payment.Notification)) payment.Notification { n := paid; change(&n); return n }
	ignored := with(func(n *payment.Notification) { n.Success, n.Ignore = false, true })
	return map[string]formCase{
		"paid":     {values: form(t, nil), want: paid},
		"finished": {values: form(t, map[string]string{"trade_status": "TRADE_FINISHED"}), want: paid},
		"closed": {
			values: form(t, map[string]string{"trade_status": "TRADE_CLOSED"}),
			want:   with(func(n *payment.Notification) { n.Success, n.Reason = false, "TRADE_CLOSED" }),
		},
		"waiting": {values: form(t, map[string]string{"trade_status": "WAIT_BUYER_PAY"}), want: ignored},
		"refunded in part": {
			values: form(t, map[string]string{
				"refund_fee": "1.00", "gmt_refund": "2026-11-11 10:00:00.123", "out_biz_no": number.Of(refundID),
			}),
			want: ignored,
		},
		"refunded in whole": {
			values: form(t, map[string]string{"refund_fee": "88.01", "trade_status": "TRADE_CLOSED"}), want: ignored,
		},
		"another currency": {
			values: form(t, map[string]string{"trans_currency": "USD"}),
			want:   with(func(n *payment.Notification) { n.Currency = "USD" }),
		},
		"an empty one is no": {values: set(form(t, nil), "passback_params", ""), want: paid},
	}
}

// set is the form with another value, which is not signed.
func set(values url.Values, name, value string) url.Values {
	values = maps.Clone(values)
	values.Set(name, value)
	return values
}

// refusedForms are those that are not believed.
func refusedForms(t *testing.T) map[string]formCase {
	add := func(values url.Values, name, value string) url.Values {
		values = maps.Clone(values)
		values.Add(name, value)
		return values
	}
	without := func(values url.Values, name string) url.Values {
		values = maps.Clone(values)
		values.Del(name)
		return values
	}
	good := form(t, nil)
	return map[string]formCase{
		"another app":       {values: form(t, map[string]string{"app_id": "2"}), reason: payment.ReasonMerchantWrong},
		"another seller":    {values: form(t, map[string]string{"seller_id": "2"}), reason: payment.ReasonMerchantWrong},
		"another's number":  {values: form(t, map[string]string{"out_trade_no": "T1"}), reason: "MALFORMED"},
		"three decimals":    {values: form(t, map[string]string{"total_amount": "88.010"}), reason: "MALFORMED"},
		"an exponent":       {values: form(t, map[string]string{"total_amount": "8e1"}), reason: "MALFORMED"},
		"nothing paid":      {values: form(t, map[string]string{"total_amount": "0.00"}), reason: "MALFORMED"},
		"less than nothing": {values: form(t, map[string]string{"total_amount": "-88.01"}), reason: "MALFORMED"},
		"no trade":          {values: form(t, map[string]string{"trade_no": ""}), reason: "MALFORMED"},
		"two days old":      {values: form(t, map[string]string{"notify_time": "2026-11-09 10:00:00"}), reason: "TOO_OLD"},
		"too early":         {values: form(t, map[string]string{"notify_time": "2026-11-11 10:06:00"}), reason: "TOO_OLD"},
		"no time":           {values: form(t, map[string]string{"notify_time": "soon"}), reason: "TOO_OLD"},
		"not signed":        {values: without(good, "sign"), reason: "SIGNATURE_MISSING"},
		"RSA with SHA-1":    {values: set(good, "sign_type", "RSA"), reason: "SIGNATURE_WRONG"},
		"an amount changed": {values: set(good, "total_amount", "88.02"), reason: "SIGNATURE_WRONG"},
		"a field more":      {values: set(good, "extra", "1"), reason: "SIGNATURE_WRONG"},
		"a field less":      {values: without(good, "subject"), reason: "SIGNATURE_WRONG"},
		"a field twice":     {values: add(good, "total_amount", "0.01"), reason: "MALFORMED"},
	}
}

func TestParseNotification(t *testing.T) {
	cases := believedForms(t)
	maps.Copy(cases, refusedForms(t))
	for name, c := range cases {
		raw := []byte(c.values.Encode())
		got, err := testProvider().ParseNotification(nil, raw, testNow)
		var refused *payment.NotificationError
		switch {
		case c.reason != "":
			if !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Errorf("%s: %v, want %s", name, err, c.reason)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			c.want.Raw = raw
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	for err, want := range map[error]string{
		nil: "success", payment.ErrUnknownPayment: "fail", &payment.NotificationError{Reason: "X"}: "fail",
	} {
		w := httptest.NewRecorder()
		testProvider().Answer(w, err)
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%v: %d %s", err, w.Code, w.Body)
		}
	}
}

// FuzzNotification gives the parser forms that are signed, since anything else ends at the signature.
func FuzzNotification(f *testing.F) {
	f.Add(form(f, nil).Encode(), "", "")
	f.Add(form(f, nil).Encode(), "refund_fee", "1.00")
	f.Add("a=1&a=2&%zz", "total_amount", "99999999999999999999.00")
	f.Add("", "out_trade_no", number.Of(refundID))
	p := testProvider()
	f.Fuzz(func(t *testing.T, raw, name, value string) {
		n, err := p.ParseNotification(nil, []byte(raw), testNow)
		if err == nil && len(n.Raw) == 0 {
			t.Fatal("taken without what it said")
		}
		values := form(t, map[string]string{name: value})
		n, err = p.ParseNotification(nil, []byte(values.Encode()), testNow)
		var refused *payment.NotificationError
		switch {
		case err == nil:
			if n.PaymentID == uuid.Nil || n.TransactionID == "" || len(n.TransactionID) > 128 || n.Amount <= 0 {
				t.Fatalf("half a notification: %+v", n)
			}
		case !errors.As(err, &refused):
			t.Fatalf("not refused: %v", err)
		}
	})
}

// FuzzForm gives the reader forms without the price of a signature.
func FuzzForm(f *testing.F) {
	f.Add(form(f, nil).Encode())
	f.Add(form(f, map[string]string{"refund_fee": "1.00"}).Encode())
	f.Add("out_trade_no=" + number.Of(paymentID) + "&total_amount=1&trade_no=1")
	p := testProvider()
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		n, err := p.read(values, []byte(raw))
		if err == nil && (n.PaymentID == uuid.Nil || n.TransactionID == "" || len(n.TransactionID) > 128 ||
			n.Amount <= 0 || (n.Success && n.Ignore)) {
			t.Fatalf("half a notification: %+v", n)
		}
	})
}

const billHead = "#支付宝业务明细查询\r\n#账号：[20880000000000010156]\r\n#起始日期：[2026年11月11日 00:00:00]   终止日期：[2026年11月12日 " +
	"00:00:00]\r\n" +
	"#-----------------------------------------业务明细列表----------------------------------------\r\n" +
	"支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）," +
	"商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注\r\n"

const billFoot = "#-----------------------------------------业务明细列表结束------------------------------------\r\n#交易合计：1笔" +
	"，商家实收共88.01元\r\n"

func billRow(kind, amount, request string) string {
	return "2026111122\t," + number.Of(paymentID) + "\t," + kind + ",goods \"a\",2026-11-11 09:59:00,2026-11-11 " +
		"10:00:00,,,,,*三(138****0000)\t," + amount + "," + amount +
		",0.00,0.00,0.00,0.00,0.00,,0.00,0.00," + request + "\t,-0.53,0.00,\r\n"
}

func gbk(t testing.TB, text string) string {
	t.Helper()
	out, err := simplifiedchinese.GBK.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseBill(t *testing.T) {
	at := time.Date(2026, 11, 11, 10, 0, 0, 0, china)
	paid := payment.StatementRow{
		Kind: payment.KindPayment, TransactionID: "2026111122", PaymentID: paymentID, Amount: 8801, Currency: "CNY",
		At: at,
	}
	back := payment.StatementRow{
		Kind: payment.KindRefund, TransactionID: number.Of(refundID), PaymentID: paymentID, RefundID: refundID,
		Amount: 100, Currency: "CNY", At: at,
	}
	for name, c := range map[string]struct {
		bill string
		want []payment.StatementRow
		fail bool
	}{
		"none":      {bill: billHead + billFoot},
		"a payment": {bill: billHead + billRow("交易", "88.01", "") + billFoot, want: []payment.StatementRow{paid}},
		"both": {
			bill: billHead + billRow("交易", "88.01", "") + billRow("退款", "-1.00", number.Of(refundID)) + billFoot,
			want: []payment.StatementRow{paid, back},
		},
		"another sort":  {bill: billHead + billRow("转账", "88.01", "") + billFoot},
		"cut off":       {bill: billHead + billRow("交易", "88.01", ""), fail: true},
		"an odd amount": {bill: billHead + billRow("交易", "88.0.1", "") + billFoot, fail: true},
		"nothing":       {bill: "", fail: true},
	} {
		var got []payment.StatementRow
		err := parseBill(strings.NewReader(gbk(t, c.bill)), func(r payment.StatementRow) error {
			got = append(got, r)
			return nil
		})
		if (err != nil) != c.fail {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" && !c.fail {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzBill(f *testing.F) {
	f.Add(gbk(f, billHead+billRow("交易", "88.01", "")+billRow("退款", "-1.00", number.Of(refundID))+billFoot))
	f.Add("#\r\n,,\r\n\",\r\n")
	f.Fuzz(func(t *testing.T, bill string) {
		_ = parseBill(strings.NewReader(bill), func(r payment.StatementRow) error {
			if r.Kind == "" || r.At.IsZero() {
				t.Fatalf("half a row: %+v", r)
			}
			return nil
		})
		_ = readArchive([]byte(bill), func(payment.StatementRow) error { return nil })
	})
}
