package wechatpay

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

const (
	testKeyID    = "PUB_KEY_ID_0100000001"
	testAPIv3Key = "0123456789abcdef0123456789abcdef"
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
		merchantID: "1900000001", merchantSerial: "ABCDEF", appID: "wx0123456789", key: testKey(),
		apiV3Key: []byte(testAPIv3Key), random: rand.Reader,
		now:  func() time.Time { return testNow },
		keys: &keyring{publicKeyID: testKeyID, publicKey: &testKey().PublicKey, now: func() time.Time { return testNow }},
	}
}

func parseEnvelope(t testing.TB, body string) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// seal is the other side of unseal.
func seal(t testing.TB, plain []byte, associated string) sealed {
	t.Helper()
	block, err := aes.NewCipher([]byte(testAPIv3Key))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := "0123456789ab"
	return sealed{
		Algorithm: algorithm, Nonce: nonce, AssociatedData: associated,
		Ciphertext: base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), plain, []byte(associated))),
	}
}

// notificationOf seals a resource.
func notificationOf(t testing.TB, original string, plain []byte) []byte {
	t.Helper()
	s := seal(t, plain, original)
	return fmt.Appendf(nil, `{"id":"1","event_type":"X","resource_type":"encrypt-resource",`+
		`"resource":{"original_type":%q,"algorithm":%q,"ciphertext":%q,"associated_data":%q,"nonce":%q}}`,
		original, s.Algorithm, s.Ciphertext, s.AssociatedData, s.Nonce)
}

// signed is the header of a body signed at a time.
func signed(t testing.TB, body []byte, at time.Time) http.Header {
	t.Helper()
	stamp := strconv.FormatInt(at.Unix(), 10)
	signature, err := rsasign.Sign(testKey(), message(stamp, "nonce", string(body)))
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	for name, value := range map[string]string{
		"Timestamp": stamp, "Nonce": "nonce", "Signature": signature, "Serial": testKeyID,
	} {
		header.Set("Wechatpay-"+name, value)
	}
	return header
}

var (
	paymentID = uuid.MustParse("0197e1c2-0000-4000-8000-00000000000a")
	refundID  = uuid.MustParse("0197e1c2-0000-4000-8000-00000000000b")
)

func transactionText(change ...string) string {
	text := `{"mchid":"1900000001","appid":"wx0123456789",` +
		`"out_trade_no":"` + number.Of(paymentID) + `","transaction_id":"4200","trade_state":"SUCCESS",` +
		`"success_time":"2026-11-11T10:00:00+08:00","payer":{"openid":"o"},"amount":{"total":8801,"payer_total":8801,` +
		`"currency":"CNY","payer_currency":"CNY"}}`
	return strings.NewReplacer(change...).Replace(text)
}

func refundText(change ...string) string {
	text := `{"mchid":"1900000001","out_trade_no":"` + number.Of(paymentID) + `","transaction_id":"4200",` +
		`"out_refund_no":"` + number.Of(refundID) + `","refund_id":"5030",` +
		`"refund_status":"SUCCESS","success_time":"2026-11-11T10:00:00+08:00","user_received_account":"x",` +
		`"amount":{"total":8801,"refund":100,"payer_total":8801,"payer_refund":100}}`
	return strings.NewReplacer(change...).Replace(text)
}

func TestParseNotification(t *testing.T) {
	paidAt := time.Date(2026, 11, 11, 10, 0, 0, 0, china)
	paid := payment.Notification{
		Kind: payment.KindPayment, TransactionID: "4200", PaymentID: paymentID, Amount: 8801, Currency: "CNY",
		Success: true, PaidAt: paidAt,
	}
	back := payment.Notification{
		Kind: payment.KindRefund, TransactionID: "5030", PaymentID: paymentID, RefundID: refundID, Amount: 100,
		Currency: "CNY", Success: true, PaidAt: paidAt,
	}
	with := func(n payment.Notification, change func(*payment.Notification)) payment.Notification {
		change(&n)
		return n
	}
	for name, c := range map[string]struct {
		original, plain string
		want            payment.Notification
		reason          string
	}{
		"paid":              {original: "transaction", plain: transactionText(), want: paid},
		"paid and refunded": {original: "transaction", plain: transactionText(`"SUCCESS"`, `"REFUND"`), want: paid},
		"closed": {
			original: "transaction", plain: transactionText(`"SUCCESS"`, `"CLOSED"`),
			want: with(paid, func(n *payment.Notification) { n.Success, n.Reason = false, "CLOSED" }),
		},
		"being paid": {
			original: "transaction", plain: transactionText(`"SUCCESS"`, `"USERPAYING"`),
			want: with(paid, func(n *payment.Notification) { n.Success, n.Ignore = false, true }),
		},
		"another merchant": {
			original: "transaction", plain: transactionText("1900000001", "1900000002"), reason: payment.ReasonMerchantWrong,
		},
		"another app": {
			original: "transaction", plain: transactionText("wx0123456789", "wx1"), reason: payment.ReasonMerchantWrong,
		},
		"another's number": {
			original: "transaction", plain: transactionText(number.Of(paymentID), "20261111000001"), reason: "MALFORMED",
		},
		"a number in upper case": {
			original: "transaction", plain: transactionText(number.Of(paymentID), strings.ToUpper(number.Of(paymentID))),
			reason: "MALFORMED",
		},
		"no transaction":         {original: "transaction", plain: transactionText("4200", ""), reason: "MALFORMED"},
		"an amount that is text": {original: "transaction", plain: transactionText("8801", `"8801"`), reason: "MALFORMED"},
		"a fraction of a fen":    {original: "transaction", plain: transactionText("8801", "8801.5"), reason: "MALFORMED"},
		"refunded":               {original: "refund", plain: refundText(), want: back},
		"refund closed": {
			original: "refund", plain: refundText(`"SUCCESS"`, `"CLOSED"`),
			want: with(back, func(n *payment.Notification) { n.Success, n.Reason = false, "CLOSED" }),
		},
		"refund abnormal": {
			original: "refund", plain: refundText(`"SUCCESS"`, `"ABNORMAL"`),
			want: with(back, func(n *payment.Notification) { n.Success, n.Ignore = false, true }),
		},
		"another's refund": {
			original: "refund", plain: refundText("1900000001", "1900000002"), reason: payment.ReasonMerchantWrong,
		},
		"another sort": {original: "payscore", plain: "{}", reason: "MALFORMED"},
		"no JSON":      {original: "transaction", plain: "<xml/>", reason: "MALFORMED"},
	} {
		body := notificationOf(t, c.original, []byte(c.plain))
		got, err := testProvider().ParseNotification(signed(t, body, testNow), body, testNow)
		check(t, name, got, err, c.want, body, c.reason)
	}
}

func check(
	t *testing.T, name string, got payment.Notification, err error, want payment.Notification, raw []byte,
	reason string,
) {
	t.Helper()
	var refused *payment.NotificationError
	switch {
	case reason != "":
		if !errors.As(err, &refused) || refused.Reason != reason {
			t.Errorf("%s: %v, want %s", name, err, reason)
		}
	case err != nil:
		t.Errorf("%s: %v", name, err)
	default:
		want.Raw = raw
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParseNotificationSignature(t *testing.T) {
	body := notificationOf(t, "transaction", []byte(transactionText()))
	good := signed(t, body, testNow)
	change := func(name, value string) http.Header {
		header := good.Clone()
		header.Set(name, value)
		return header
	}
	other := seal(t, []byte(transactionText()), "transaction")
	other.AssociatedData = "refund"
	tampered, err := json.Marshal(map[string]any{"resource_type": "encrypt-resource", "resource": map[string]string{
		"original_type": "transaction", "algorithm": other.Algorithm, "ciphertext": other.Ciphertext,
		"associated_data": other.AssociatedData, "nonce": other.Nonce,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
		reason string
	}{
		"none":    {http.Header{}, body, "SIGNATURE_MISSING"},
		"no time": {change("Wechatpay-Timestamp", "soon"), body, "SIGNATURE_MISSING"},
		"another time": {
			change("Wechatpay-Timestamp", strconv.FormatInt(testNow.Unix()-1, 10)), body, "SIGNATURE_WRONG",
		},
		"another nonce":           {change("Wechatpay-Nonce", "nonces"), body, "SIGNATURE_WRONG"},
		"no base64":               {change("Wechatpay-Signature", "%%"), body, "SIGNATURE_WRONG"},
		"another public key":      {change("Wechatpay-Serial", "PUB_KEY_ID_2"), body, "KEY_UNKNOWN"},
		"another body":            {good, append([]byte(" "), body...), "SIGNATURE_WRONG"},
		"six minutes old":         {signed(t, body, testNow.Add(-6*time.Minute)), body, "TOO_OLD"},
		"six minutes too early":   {signed(t, body, testNow.Add(6*time.Minute)), body, "TOO_OLD"},
		"other associated data":   {signed(t, tampered, testNow), tampered, "CANNOT_DECRYPT"},
		"WeChat Pay's own probe":  {change("Wechatpay-Signature", "WECHATPAY/SIGNTEST/abc"), body, "SIGNATURE_WRONG"},
		"a time that is too long": {change("Wechatpay-Timestamp", strings.Repeat("9", 40)), body, "SIGNATURE_MISSING"},
	} {
		_, err := testProvider().ParseNotification(c.header, c.body, testNow)
		check(t, name, payment.Notification{}, err, payment.Notification{}, nil, c.reason)
	}
}

func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"taken": {nil, http.StatusNoContent, ""},
		"forged": {
			&payment.NotificationError{Reason: "SIGNATURE_WRONG"}, http.StatusBadRequest,
			`{"code":"FAIL","message":"SIGNATURE_WRONG"}`,
		},
		"unknown": {payment.ErrUnknownPayment, http.StatusNotFound, `{"code":"FAIL","message":"no such payment"}`},
		"no time": {errors.New("db: password"), http.StatusServiceUnavailable, `{"code":"FAIL","message":"try again"}`},
		"wrapped": {
			fmt.Errorf("x: %w", payment.ErrUnknownPayment), http.StatusNotFound,
			`{"code":"FAIL","message":"no such payment"}`,
		},
		"merchant": {
			&payment.NotificationError{Reason: payment.ReasonMerchantWrong}, http.StatusBadRequest,
			`{"code":"FAIL","message":"MERCHANT_WRONG"}`,
		},
	} {
		w := httptest.NewRecorder()
		testProvider().Answer(w, c.err)
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// FuzzNotification gives the parser bodies that are signed and resources that are sealed as they
// should be, since anything else ends at the signature.
func FuzzNotification(f *testing.F) {
	f.Add("transaction", transactionText(), false)
	f.Add("refund", refundText(), false)
	f.Add("transaction", `{"amount":{"total":9223372036854775808}}`, false)
	f.Add("", string(notificationOf(f, "refund", []byte(refundText()))), true)
	f.Add("", `{"resource":null}`, true)
	p := testProvider()
	f.Fuzz(func(t *testing.T, original, text string, whole bool) {
		body := []byte(text)
		if !whole {
			body = notificationOf(t, original, body)
		}
		if _, err := p.ParseNotification(http.Header{}, body, testNow); err == nil {
			t.Fatal("taken without a signature")
		}
		n, err := p.ParseNotification(signed(t, body, testNow), body, testNow)
		var refused *payment.NotificationError
		switch {
		case err == nil:
			if n.PaymentID == uuid.Nil || n.TransactionID == "" || len(n.TransactionID) > 128 ||
				n.Kind == "" || (n.Kind == payment.KindRefund) != (n.RefundID != uuid.Nil) {
				t.Fatalf("half a notification: %+v", n)
			}
		case !errors.As(err, &refused):
			t.Fatalf("not refused: %v", err)
		}
	})
}

// FuzzResource gives the readers what was decrypted, without the price of a signature.
func FuzzResource(f *testing.F) {
	f.Add([]byte(transactionText()))
	f.Add([]byte(refundText()))
	f.Add([]byte(`{"success_time":"","amount":null,"mchid":"1900000001","appid":"wx0123456789"}`))
	p := testProvider()
	f.Fuzz(func(t *testing.T, plain []byte) {
		for kind, read := range map[payment.Kind]func(raw, plain []byte) (payment.Notification, error){
			payment.KindPayment: p.paymentNotification, payment.KindRefund: p.refundNotification,
		} {
			n, err := read(nil, plain)
			if err == nil && (n.Kind != kind || n.PaymentID == uuid.Nil || n.TransactionID == "" ||
				len(n.TransactionID) > 128 || (n.Success && n.Ignore)) {
				t.Fatalf("half a notification: %+v", n)
			}
		}
	})
}
