// Package alipay pays through Alipay's open platform, for a merchant of its own in mainland China:
// page (a browser), WAP (a phone's browser), app and precreate (a QR code). Amounts on the wire are
// yuan with two decimals; the only currency is CNY. Keys are in the public key mode, signatures
// RSA2.
//
// Settings (config.Payment.Settings):
//
//	appID       the app's id
//	sellerID    the merchant's account, 2088…
//	methods     some of page,wap,app,precreate, joined by commas; all if not set
//	gatewayURL  https://openapi.alipay.com/gateway.do if not set
//
// Files in config.Payment.SecretDir, each as PEM or as the base64 that Alipay's key tool writes:
//
//	app_private_key.pem    the app's private key
//	alipay_public_key.pem  Alipay's public key for this app
package alipay

import (
	"crypto/rsa"
	"net/http"
	"slices"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/credentials"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

const (
	// Name of the provider in the API.
	Name = "alipay"

	defaultGateway = "https://openapi.alipay.com/gateway.do"
	currency       = "CNY"
)

// The names of the methods.
const (
	page      = "page"
	wap       = "wap"
	app       = "app"
	precreate = "precreate"
)

// china is the time zone of Alipay's times and bills; it has no daylight saving.
var china = time.FixedZone("UTC+8", 8*60*60)

// Options of a Provider. All but Client have to be set.
type Options struct {
	// Settings and SecretDir as the package's comment says.
	Settings  map[string]string
	SecretDir string
	// NotifyURL is the OrderCluster's base URL as Alipay sees it; notifications go to its path
	// /notifications/alipay.
	NotifyURL string
	Clock     func() time.Time
	// Client makes the calls; one with time-outs if nil.
	Client *http.Client
}

// Provider is a merchant at Alipay.
type Provider struct {
	appID, sellerID    string
	methods            []string
	gateway, notifyURL string
	key                *rsa.PrivateKey
	alipayKey          *rsa.PublicKey
	now                func() time.Time
	client             *http.Client
}

var _ payment.Provider = (*Provider)(nil)

// New reads the settings and the keys; the error names every field that is wrong. It calls nobody.
func New(o Options) (*Provider, error) {
	r := credentials.NewReader(o.Settings, o.SecretDir)
	p := &Provider{
		appID: r.Setting("appID"), sellerID: r.Setting("sellerID"),
		methods:   r.List("methods", []string{page, wap, app, precreate}),
		gateway:   r.URL("gatewayURL", defaultGateway),
		notifyURL: r.AbsoluteURL("notifyURL", o.NotifyURL) + "/notifications/" + Name,
		key:       credentials.Parse(r, "app_private_key.pem", rsasign.ParsePrivateKey),
		alipayKey: credentials.Parse(r, "alipay_public_key.pem", rsasign.ParsePublicKey),
		now:       o.Clock, client: o.Client,
	}
	if p.client == nil {
		p.client = bounded.NewClient()
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Name is alipay.
func (p *Provider) Name() string { return Name }

// Location is China's time zone.
func (p *Provider) Location() *time.Location { return china }

// Methods are those that the settings allow.
func (p *Provider) Methods() []payment.Method {
	var out []payment.Method
	for _, m := range []payment.Method{
		{Name: page, Title: "Alipay", Kind: payment.MethodRedirect, Currencies: []string{currency}},
		{Name: wap, Title: "Alipay on a phone", Kind: payment.MethodRedirect, Currencies: []string{currency}},
		{Name: app, Title: "Alipay app", Kind: payment.MethodSDK, Currencies: []string{currency}},
		{Name: precreate, Title: "Alipay QR code", Kind: payment.MethodQR, Currencies: []string{currency}},
	} {
		if slices.Contains(p.methods, m.Name) {
			out = append(out, m)
		}
	}
	return out
}
