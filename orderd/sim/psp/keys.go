package psp

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Keys are the secrets that a merchant and the three providers share, and what each keeps to itself.
type Keys struct {
	// MerchantID, AppID and MerchantSerial are the merchant's at WeChat Pay.
	MerchantID, AppID, MerchantSerial string
	// APIv3Key is 32 characters.
	APIv3Key string
	// Merchant signs requests to WeChat Pay, WeChatPay its answers in the public key mode, and
	// Platform, until it is rotated, in the certificate mode.
	Merchant, WeChatPay, Platform *rsa.PrivateKey
	// PublicKeyID of WeChatPay.
	PublicKeyID string
	// AlipayAppID and SellerID are the merchant's at Alipay; App signs requests, AlipayKey answers.
	AlipayAppID, SellerID string
	App, AlipayKey        *rsa.PrivateKey
	// StripeKey authenticates requests to Stripe, StripeWebhookSecret signs its events.
	StripeKey, StripeWebhookSecret string
	// Forger is nobody's key.
	Forger *rsa.PrivateKey
}

// GenerateKeys makes new ones.
func GenerateKeys() (*Keys, error) {
	k := &Keys{
		MerchantID: "1900000001", AppID: "wx" + random(8), MerchantSerial: strings.ToUpper(random(20)), APIv3Key: random(16),
		PublicKeyID: "PUB_KEY_ID_0119000000012026" + random(8), AlipayAppID: "2026000000000001", SellerID: "2088000000000001",
		StripeKey: "sk_test_" + random(16), StripeWebhookSecret: "whsec_" + random(16),
	}
	for _, key := range []**rsa.PrivateKey{&k.Merchant, &k.WeChatPay, &k.Platform, &k.App, &k.AlipayKey, &k.Forger} {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("psp: making a key: %w", err)
		}
		*key = made
	}
	return k, nil
}

// Save writes all keys to one file, for another process.
func (k *Keys) Save(path string) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("psp: writing keys: %w", err)
	}
	return os.WriteFile(path, raw, 0o600)
}

// LoadKeys reads what Save wrote.
func LoadKeys(path string) (*Keys, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("psp: reading keys: %w", err)
	}
	k := &Keys{}
	if err := json.Unmarshal(raw, k); err != nil {
		return nil, fmt.Errorf("psp: reading keys: %w", err)
	}
	for _, key := range []*rsa.PrivateKey{k.Merchant, k.WeChatPay, k.Platform, k.App, k.AlipayKey, k.Forger} {
		key.Precompute()
	}
	return k, nil
}

// WriteSecrets writes what orderd needs, one directory a provider: dir/wechatpay, dir/alipay,
// dir/stripe.
func (k *Keys) WriteSecrets(dir string) error {
	merchant, err := privatePEM(k.Merchant)
	if err != nil {
		return err
	}
	app, err := privatePEM(k.App)
	if err != nil {
		return err
	}
	weChatPay, err := publicPEM(&k.WeChatPay.PublicKey)
	if err != nil {
		return err
	}
	alipay, err := publicPEM(&k.AlipayKey.PublicKey)
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{
		"wechatpay/apiclient_key.pem": merchant, "wechatpay/apiv3_key": []byte(k.APIv3Key),
		"wechatpay/pub_key.pem":      weChatPay,
		"alipay/app_private_key.pem": app, "alipay/alipay_public_key.pem": alipay,
		"stripe/secret_key": []byte(k.StripeKey), "stripe/webhook_secret": []byte(k.StripeWebhookSecret),
	} {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return fmt.Errorf("psp: writing secrets: %w", err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return fmt.Errorf("psp: writing secrets: %w", err)
		}
	}
	return nil
}

// Settings are what orderd's configuration says of a provider whose API is at base. WeChat Pay is
// in the public key mode unless certificates is set.
func (k *Keys) Settings(provider, base string, certificates bool) map[string]string {
	switch provider {
	case WeChatPay:
		settings := map[string]string{
			"merchantID": k.MerchantID, "merchantSerial": k.MerchantSerial, "appID": k.AppID, "publicKeyID": k.PublicKeyID,
			"baseURL": base,
		}
		if certificates {
			delete(settings, "publicKeyID")
		}
		return settings
	case Alipay:
		return map[string]string{"appID": k.AlipayAppID, "sellerID": k.SellerID, "gatewayURL": base + "/gateway.do"}
	default:
		return map[string]string{"publishableKey": "pk_test_simulator", "baseURL": base}
	}
}

func privatePEM(key *rsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("psp: writing a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func publicPEM(key *rsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("psp: writing a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func signSHA256(key *rsa.PrivateKey, text string) string {
	digest := sha256.Sum256([]byte(text))
	raw, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		// Only a key that is too short for the digest fails.
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func checkSHA256(key *rsa.PublicKey, text, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(text))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw) == nil
}

// platformKey is one of WeChat Pay's platform certificates, with its key.
type platformKey struct {
	key       *rsa.PrivateKey
	serial    string
	pem       []byte
	notBefore time.Time
	notAfter  time.Time
}

// RotateCertificate makes a new platform certificate, which signs from now on; the one before stays
// on the list.
func (s *Server) RotateCertificate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("psp: making a certificate: %w", err)
	}
	return s.certify(key)
}

// certify makes a platform certificate of a key.
func (s *Server) certify(key *rsa.PrivateKey) error {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 150))
	if err != nil {
		return fmt.Errorf("psp: making a certificate: %w", err)
	}
	p := &platformKey{
		key: key, serial: strings.ToUpper(number.Text(16)), notBefore: s.now().Add(-time.Hour),
		notAfter: s.now().Add(5 * 365 * 24 * time.Hour),
	}
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "Tenpay.com sign"}, NotBefore: p.notBefore, NotAfter: p.notAfter,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("psp: making a certificate: %w", err)
	}
	p.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.platform = append(s.platform, p)
	return nil
}
