package wechatpay

import (
	"crypto/rsa"
	"net/http"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

// examplePublicKey belongs to the private key that WeChat Pay's pages print for trying signatures
// (apiclient_test_key.pem of "Signature Generation", pay.weixin.qq.com). Signatures of PKCS #1 v1.5
// have no randomness, so that a message that verifies is the very one that was signed.
const examplePublicKey = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAptpm+qvIDCh/9wjU26SQCK26ogYkBhDrYxnAaw2JbbBsp1" +
	"oDbHKk+1r381NeBUG2HEFAuU+Fr72u5ot3yKdz" +
	"oF/FajAzQNKnm569/D3upKoi8mYBaST15Uig8j8qoUW1U217LL0jEHlSnHV3lcaDTXqDpTRR4Bfz9IqOgJgFZ8/oTfEomSrjrLYef81Eyxr7ZIMQXE" +
	"KKEK7V4UXKS0+/fDsiG/cXidhz" +
	"t8UbTL9vqXqxM2+IDImyO+FAc/tkBG55LmzxPto1Nq0WbnZzRM/wTzrd0I/8NlevxtFbphg4evlHjFNI7+GrqR87ViEwuAJJ9Je5QQjct5YJfFRWiZ" +
	"5CMQIDAQAB"

func parsePublic(t testing.TB, text string) *rsa.PublicKey {
	t.Helper()
	key, err := rsasign.ParsePublicKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The example of a request's signature in "Signature Generation": a JSAPI order.
func TestPublishedRequestSignature(t *testing.T) {
	const body = `{"appid":"wxd678efh567hg6787","mchid":"1230000109","description":"Image形象店-深圳腾大-QQ公仔",` +
		`"out_trade_no":"1217752501201407033233368018",` +
		`"notify_url":"https://www.weixin.qq.com/wxpay/pay.php","amount":{"total":100,"currency":"CNY"},` +
		`"payer":{"openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}}`
	const signature = "gEuexJ547PHFV77TQ6eiE4tphVYfWfUe1Wc2dBmVnoMYU2rl/M4zhw+b3vBhuMw6AC7pteNkryLA7UWU2h+umo0OdSuuLm1+" +
		"+O3NckQPCSfm6dypsjn4GYm84KMqXWFrhFmyxEwIdEJDr3w1" +
		"UYfxOcu55OQupfLkrt/ZzuOspnliJFrPzGQFUk7lGqMMtpz3EfbDUNxnVsHblORg3hVmuYNmbGWnS2ovU30Y2Q+iKFDxzkaXBk8LTy6HzvxizRo6Q" +
		"+J4SVM7O0hKXfgo1QdI68kpzNULb3EVBXlh" +
		"TyPUzhkHzzLxECL1qHl3HH2hEv8++C+4wBlsagF3j/O6PABojA=="
	signed := message(
		http.MethodPost, "/v3/pay/transactions/jsapi", "1554208460", "593BEC0C930BF1AFEB40B4A08C8FB242", body,
	)
	if err := rsasign.Verify(parsePublic(t, examplePublicKey), signed, signature); err != nil {
		t.Error(err)
	}
}

// exampleCertificate and what follows are the example of WeChat Pay's own library:
// TestHandler_ParseNotifyRequest in core/notify/notify_test.go of
// github.com/wechatpay-apiv3/wechatpay-go.
const exampleCertificate = `-----BEGIN CERTIFICATE-----
MIIDVzCCAj+gAwIBAgIJANfOWdH1ItcBMA0GCSqGSIb3DQEBCwUAMEIxCzAJBgNV
BAYTAlhYMRUwEwYDVQQHDAxEZWZhdWx0IENpdHkxHDAaBgNVBAoME0RlZmF1bHQg
Q29tcGFueSBMdGQwHhcNMjEwNDI3MDg1NTIzWhcNMzEwNDI1MDg1NTIzWjBCMQsw
CQYDVQQGEwJYWDEVMBMGA1UEBwwMRGVmYXVsdCBDaXR5MRwwGgYDVQQKDBNEZWZh
dWx0IENvbXBhbnkgTHRkMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA
2VCTd91fnUn73Xy9DLvt/V62TVxRTEEstVdeRaZ3B3leO0pldE806mXO4RwdHXag
HQ4vGeZN0yqm++rDsGK+U3AH7kejyD2pXshNP9Cq5YwbptiLGtjcquw4HNxJQUOm
DeJf2vg6byms9RUipiq4SzbJKqJFlUpbuIPDpSpWz10PYmyCNeDGUUK65E5h2B83
4uxl1zNLYQCrkdBzb8oUxwYeP5a2DNxmjL5lsJML7DGr5znsevnoqGRwTm9fxCGf
y8wus7hwKz6clt3Whmmda7UAdb1c08hEQFVRbF14AR73xbnd8N0obCWJPCbzMCtk
aSef4FdEEgEXJiw0VAJT8wIDAQABo1AwTjAdBgNVHQ4EFgQUT1c7nd/SUO76HSoZ
umNUJv1R5PwwHwYDVR0jBBgwFoAUT1c7nd/SUO76HSoZumNUJv1R5PwwDAYDVR0T
BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAfTjxKRQMzNB/U6ZoCUS+BSNfa2Oh
0plMN6ZuzwiVVZwg1jywvv5yv04koS7Pd4i9E4gt9ZBUQXlpq+A3oOCEEHNRR6b2
kyazGRM7s0OP5X21WrbpSmKmU6K7hkfx30yYs08LVs/Q8DIhvaj1FCFeJzUCzYn/
fHMq4tsbKO0dKAeydPM/nrUZBmaYQVKMVOORGLFjFKVO7JV6Kq/R86ouhjEPgJOe
2xulNBUcjicqtZlBdEh/PWCYP2SpGVDclKm8jeo175T3EVAkdKzzmfpxtMmnMlmq
cTJOU9TxuGvNASMtjj7pYIerTx+xgZDXEVBWFW9PjJ0TV06tCRsgSHItgg==
-----END CERTIFICATE-----`

func TestPublishedNotification(t *testing.T) {
	const body = `{"id":"3119dfba-e649-5eec-ab1e-3412bc4d2e17","create_time":"2021-06-24T16:37:26+08:00",` +
		`"resource_type":"encrypt-resource",` +
		`"event_type":"PAYSCORE.USER_OPEN_SERVICE","summary":"签约成功","resource":{"original_type":"payscore",` +
		`"algorithm":"AEAD_AES_256_GCM",` +
		`"ciphertext":"YDS3lKPaC4Y52Gf3uhft5qUBlIa8b428AWTtTauHQfQrRw+X1WpiuHIDy0vo1Vd6VEq67aVyqPdDYMkRVSDaZL3iZttevRMOoPK` +
		`Mifozg6XPWjIZumks/GpT48lI4NizyeaqLBokNebt` +
		`hah3o1H76qSlO9NkDjp9bzmKLEYYH9TEklFUpsvPqOTOcgSLgh21YJXYR7dEBXFgRLiNIKRgO5JdXh1hccRUAlyVWxE54PXpnQ==",` +
		`"associated_data":"payscore","nonce":"Kj7QIyUiYx1q"}}`
	const signature = "tJHIiIS9eB2hAYstmAmbbD3ZE5LiIm/Ug5tuL4fC0YOFRWIHV39UFIZXC0e9Wl6lBu6sKvkqDkzpqzBsVHyXFlbYZTOQrVdG" +
		"4b6LfTnK4mikv9++ixJMd3vTf2yCqvBkh98zs3Ds5zsYQakz" +
		"bcwhmw4fMJs4nPLws28H0UW9FjDR//rxELLwXvV1VEA1IBLX70xptjL8hrfUjEE8kkry6yNJTHZRU8CAc7qHli2Ng1V1qb9ARbK8A3ThmFmPQvRGr" +
		"apI/jS2laKKgYUmfdEdkNO6B2Cke5e8VTxY4" +
		"06ArAmQ90GAihDwIcb16TQMnzCMBoutnwZKNiKRACrFmtxw2Q=="
	// The example's key has 16 characters where an APIv3 key has 32.
	const key = "testMchAPIv3Key0"
	const plain = `{"mchid":"1234567890","appid":"054aa7d7a2a54ab5898df65bd96f001c","create_time":"2020-06-30T12:12:00+` +
		`08:00","out_contract_code":"21640bdbd08e473e828f3206a2741c6e"}`

	header := http.Header{}
	for name, value := range map[string]string{
		"Wechatpay-Nonce": "EcZ9Cmy4Xyx1i6RlJQzLcCyEqDa26NBz", "Wechatpay-Timestamp": "1624523846",
		"Wechatpay-Serial": "D7CE59D1F522D701", "Wechatpay-Signature": signature,
	} {
		header.Set(name, value)
	}
	now := time.Unix(1624523846, 0)
	m, err := markOf(header, now)
	if err != nil {
		t.Fatal(err)
	}
	public, err := certificateKey([]byte(exampleCertificate), m.serial)
	if err != nil {
		t.Fatal(err)
	}
	ring := &keyring{now: func() time.Time { return now }}
	ring.loaded.Store(&certificates{
		at:       now,
		bySerial: map[string]certificate{m.serial: {key: public, before: now.Add(-time.Hour), expiry: now.Add(time.Hour)}},
	})
	if err := ring.verify(t.Context(), m, []byte(body)); err != nil {
		t.Error(err)
	}
	e := parseEnvelope(t, body)
	got, err := unseal([]byte(key), e.Resource.sealed)
	if err != nil || string(got) != plain {
		t.Errorf("decrypted %q, %v", got, err)
	}
	if _, err := unseal([]byte("testMchAPIv3Key1"), e.Resource.sealed); err == nil {
		t.Error("another key decrypts")
	}
	if _, err := markOf(header, now.Add(tolerance+time.Second)); err == nil {
		t.Error("an old signature was taken")
	}
}

// The example of AesUtil in utils/aes_test.go of the same library.
func TestPublishedDecryption(t *testing.T) {
	got, err := unseal([]byte("testAPIv3Key0000"), sealed{
		Algorithm: algorithm, Ciphertext: "FsdXzxryWfKwvLJKf8LG/ToRPTRh8RN9wROC",
		AssociatedData: "Dl56FrqWQJF1t9LtC3vEUsniZKvbqdR8", Nonce: "wCq51qZv4Yfg",
	})
	if err != nil || string(got) != "Hello World" {
		t.Errorf("decrypted %q, %v", got, err)
	}
}
