package wechatpay

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

const (
	// scheme of the Authorization header.
	scheme = "WECHATPAY2-SHA256-RSA2048"
	// algorithm of what is encrypted with the APIv3 key.
	algorithm = "AEAD_AES_256_GCM"

	nonceBytes = 16
	// apiV3KeyBytes is the length of the APIv3 key, which is used as it is.
	apiV3KeyBytes = 32
)

// message is what is signed: every part on a line of its own, the last one too.
func message(parts ...string) []byte {
	return []byte(strings.Join(parts, "\n") + "\n")
}

// nonce is 32 letters and digits.
func (p *Provider) nonce() (string, error) {
	raw := make([]byte, nonceBytes)
	if _, err := io.ReadFull(p.random, raw); err != nil {
		return "", fmt.Errorf("wechatpay: nonce: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

// authorize signs a request: its method, path with query, the time, a nonce and the body.
func (p *Provider) authorize(req *http.Request, body []byte) error {
	nonce, err := p.nonce()
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(p.now().Unix(), 10)
	signature, err := rsasign.Sign(p.key, message(req.Method, req.URL.RequestURI(), stamp, nonce, string(body)))
	if err != nil {
		return fmt.Errorf("wechatpay: %w", err)
	}
	const format = `%s mchid="%s",nonce_str="%s",timestamp="%s",serial_no="%s",signature="%s"`
	authorization := fmt.Sprintf(format, scheme, p.merchantID, nonce, stamp, p.merchantSerial, signature)
	req.Header.Set("Authorization", authorization)
	return nil
}

// sdkParams are what the app gives WeixinJSBridge or wx.requestPayment, with their signature.
func (p *Provider) sdkParams(prepayID string) (map[string]string, error) {
	nonce, err := p.nonce()
	if err != nil {
		return nil, err
	}
	stamp, pkg := strconv.FormatInt(p.now().Unix(), 10), "prepay_id="+prepayID
	signature, err := rsasign.Sign(p.key, message(p.appID, stamp, nonce, pkg))
	if err != nil {
		return nil, fmt.Errorf("wechatpay: %w", err)
	}
	return map[string]string{
		"appId": p.appID, "timeStamp": stamp, "nonceStr": nonce, "package": pkg, "signType": "RSA", "paySign": signature,
	}, nil
}

// sealed is what WeChat Pay encrypts: a notification's resource, or a certificate.
type sealed struct {
	Algorithm      string `json:"algorithm"`
	Ciphertext     string `json:"ciphertext"`
	AssociatedData string `json:"associated_data"`
	Nonce          string `json:"nonce"`
}

var errSealed = errors.New("wechatpay: cannot be decrypted with the APIv3 key")

// unseal decrypts and authenticates with a key of 16, 24 or 32 bytes.
func unseal(key []byte, s sealed) ([]byte, error) {
	if s.Algorithm != algorithm {
		return nil, errSealed
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errSealed
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(s.Nonce) != gcm.NonceSize() {
		return nil, errSealed
	}
	raw, err := base64.StdEncoding.DecodeString(s.Ciphertext)
	if err != nil {
		return nil, errSealed
	}
	plain, err := gcm.Open(nil, []byte(s.Nonce), raw, []byte(s.AssociatedData))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// tolerance is how far the time of an answer or a notification may be from ours.
const tolerance = 5 * time.Minute

// Refusals of what claims to be WeChat Pay's.
var (
	errUnsigned  = errors.New("SIGNATURE_MISSING")
	errTooOld    = errors.New("TOO_OLD")
	errSignature = errors.New("SIGNATURE_WRONG")
	errKey       = errors.New("KEY_UNKNOWN")
)

// mark is the signature of an answer or a notification, from its header.
type mark struct{ serial, stamp, nonce, signature string }

func markOf(header http.Header, now time.Time) (mark, error) {
	m := mark{
		serial: header.Get("Wechatpay-Serial"), stamp: header.Get("Wechatpay-Timestamp"),
		nonce: header.Get("Wechatpay-Nonce"), signature: header.Get("Wechatpay-Signature"),
	}
	if m.serial == "" || m.stamp == "" || m.nonce == "" || m.signature == "" {
		return m, errUnsigned
	}
	seconds, err := strconv.ParseInt(m.stamp, 10, 64)
	if err != nil {
		return m, errUnsigned
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return m, errTooOld
	}
	return m, nil
}
