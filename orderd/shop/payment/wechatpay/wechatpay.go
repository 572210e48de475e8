// Package wechatpay pays through WeChat Pay's API v3, for a merchant of its own in mainland China:
// JSAPI (in WeChat and in mini programs), Native (a QR code) and H5 (a browser outside WeChat).
// Amounts are in fen; the only currency is CNY.
//
// Settings (config.Payment.Settings):
//
//	merchantID      the merchant's number, mchid
//	merchantSerial  the serial number of the merchant's API certificate
//	appID           the app id that the merchant is bound to
//	publicKeyID     the id of WeChat Pay's public key, PUB_KEY_ID_…; not set: answers are verified with the platform
//	                certificates, which are downloaded
//	methods         some of jsapi,native,h5, joined by commas; all if not set
//	baseURL         https://api.mch.weixin.qq.com if not set
//
// Files in config.Payment.SecretDir:
//
//	apiclient_key.pem  the merchant's private key
//	apiv3_key          the APIv3 key, 32 characters
//	pub_key.pem        WeChat Pay's public key; only with publicKeyID
package wechatpay

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/credentials"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

const (
	// Name of the provider in the API.
	Name = "wechatpay"

	defaultBaseURL = "https://api.mch.weixin.qq.com"
	// currency is the only one that a merchant in mainland China is paid in.
	currency = "CNY"
)

// The methods, as in the paths of the API.
const (
	jsapi  = "jsapi"
	native = "native"
	h5     = "h5"
)

// china is the time zone of WeChat Pay's bills; it has no daylight saving.
var china = time.FixedZone("UTC+8", 8*60*60)

// Options of a Provider. All but Client have to be set.
type Options struct {
	// Settings and SecretDir as the package's comment says.
	Settings  map[string]string
	SecretDir string
	// NotifyURL is the OrderCluster's base URL as WeChat Pay sees it, https; notifications go to
	// its path /notifications/wechatpay.
	NotifyURL string
	Clock     func() time.Time
	Random    io.Reader
	// Client makes the calls; one with time-outs if nil.
	Client *http.Client
}

// Provider is a merchant at WeChat Pay.
type Provider struct {
	merchantID, merchantSerial, appID string
	methods                           []string
	baseURL, notifyURL                string
	key                               *rsa.PrivateKey
	apiV3Key                          []byte
	keys                              *keyring
	now                               func() time.Time
	random                            io.Reader
	client                            *http.Client
}

var _ payment.Provider = (*Provider)(nil)

// New reads the settings and the keys; the error names every field that is wrong. It calls nobody.
func New(o Options) (*Provider, error) {
	r := credentials.NewReader(o.Settings, o.SecretDir)
	p := &Provider{
		merchantID: r.Setting("merchantID"), merchantSerial: r.Setting("merchantSerial"), appID: r.Setting("appID"),
		methods: r.List("methods", []string{jsapi, native, h5}), baseURL: r.URL("baseURL", defaultBaseURL),
		notifyURL: r.AbsoluteURL("notifyURL", o.NotifyURL) + "/notifications/" + Name,
		key:       credentials.Parse(r, "apiclient_key.pem", rsasign.ParsePrivateKey),
		apiV3Key:  credentials.Parse(r, "apiv3_key", parseAPIv3Key),
		now:       o.Clock, random: o.Random, client: o.Client,
	}
	if p.client == nil {
		p.client = bounded.NewClient()
	}
	p.keys = &keyring{publicKeyID: r.Optional("publicKeyID", ""), now: o.Clock, download: p.downloadCertificates}
	if p.keys.publicKeyID != "" {
		if !strings.HasPrefix(p.keys.publicKeyID, publicKeyPrefix) {
			r.Fail("settings.publicKeyID", "must begin with "+publicKeyPrefix)
		}
		p.keys.publicKey = credentials.Parse(r, "pub_key.pem", rsasign.ParsePublicKey)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func parseAPIv3Key(text []byte) ([]byte, error) {
	if len(text) != apiV3KeyBytes {
		return nil, fmt.Errorf("must have %d characters", apiV3KeyBytes)
	}
	return text, nil
}

// Name is wechatpay.
func (p *Provider) Name() string { return Name }

// Methods are those that the settings allow.
func (p *Provider) Methods() []payment.Method {
	var out []payment.Method
	for _, m := range []payment.Method{
		{Name: jsapi, Title: "WeChat Pay", Kind: payment.MethodSDK, Currencies: []string{currency}, NeedsOpenID: true},
		{Name: native, Title: "WeChat Pay QR code", Kind: payment.MethodQR, Currencies: []string{currency}},
		{
			Name: h5, Title: "WeChat Pay in the browser", Kind: payment.MethodRedirect, Currencies: []string{currency},
			NeedsClientIP: true,
		},
	} {
		if slices.Contains(p.methods, m.Name) {
			out = append(out, m)
		}
	}
	return out
}

// Location is China's time zone.
func (p *Provider) Location() *time.Location { return china }

// outcome puts an error of call into the classes of payment.Provider.
func outcome(doing string, err error) error {
	var refused *problemError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && !refused.passing():
		return &payment.RefusedError{Reason: refused.code, Err: fmt.Errorf("wechatpay: %s: %w", doing, err)}
	}
	return fmt.Errorf("wechatpay: %s: %w", doing, err)
}

// is tells whether WeChat Pay refused with one of the codes.
func is(err error, codes ...string) bool {
	var refused *problemError
	return errors.As(err, &refused) && slices.Contains(codes, refused.code)
}
