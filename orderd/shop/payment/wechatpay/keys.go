package wechatpay

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/rsasign"
)

const (
	// publicKeyPrefix begins the id of a WeChat Pay public key, where a certificate has its serial
	// number.
	publicKeyPrefix = "PUB_KEY_ID_"
	// refreshAfter is how long the platform certificates are kept before they are asked for again;
	// WeChat Pay asks for less than a day.
	refreshAfter = 12 * time.Hour
	// refreshPause is the least time between two downloads, so that forged serial numbers cause no
	// flood of them.
	refreshPause = time.Minute
	// refreshTimeout bounds a download for a notification.
	refreshTimeout = 5 * time.Second
)

// certificate is a platform certificate's key, and how long it is valid.
type certificate struct {
	key            *rsa.PublicKey
	before, expiry time.Time
}

// keyring finds the key that WeChat Pay signed with: its public key, which is configured, or a
// platform certificate, which is downloaded and changes from time to time. While a merchant moves
// from one to the other both are in use.
type keyring struct {
	publicKeyID string
	publicKey   *rsa.PublicKey
	download    func(context.Context) (map[string]certificate, error)
	now         func() time.Time

	loaded atomic.Pointer[certificates]
	// refreshing is locked while a download is under way; tried is when the last one began.
	refreshing sync.Mutex
	tried      time.Time
}

// certificates by serial number, as they were downloaded.
type certificates struct {
	at       time.Time
	bySerial map[string]certificate
}

var errNotLoaded = errors.New("wechatpay: the platform certificates could not be downloaded yet")

// verify checks a signature over the body.
func (k *keyring) verify(ctx context.Context, m mark, body []byte) error {
	key, err := k.find(ctx, m.serial)
	if err != nil {
		return err
	}
	if rsasign.Verify(key, message(m.stamp, m.nonce, string(body)), m.signature) != nil {
		return errSignature
	}
	return nil
}

func (k *keyring) find(ctx context.Context, serial string) (*rsa.PublicKey, error) {
	if strings.HasPrefix(serial, publicKeyPrefix) {
		if serial != k.publicKeyID {
			return nil, errKey
		}
		return k.publicKey, nil
	}
	now := k.now()
	found, fresh := k.lookup(serial, now)
	if !fresh {
		// A known certificate is used while it is downloaded again; only an unknown one is waited
		// for.
		if err := k.refresh(ctx, now, found.key == nil); err != nil && found.key == nil {
			return nil, err
		}
		found, _ = k.lookup(serial, now)
	}
	if k.loaded.Load() == nil {
		// The signature may be WeChat Pay's all the same.
		return nil, errNotLoaded
	}
	if found.key == nil || now.Before(found.before) || !now.Before(found.expiry) {
		return nil, errKey
	}
	return found.key, nil
}

// lookup finds a certificate, and tells whether it is there and need not be asked for again.
func (k *keyring) lookup(serial string, now time.Time) (found certificate, fresh bool) {
	loaded := k.loaded.Load()
	if loaded == nil {
		return certificate{}, false
	}
	found, ok := loaded.bySerial[serial]
	return found, ok && now.Sub(loaded.at) <= refreshAfter
}

// refresh downloads the certificates, unless that was tried a moment ago. If another caller is
// downloading them, it waits for that only if wait is set.
func (k *keyring) refresh(ctx context.Context, now time.Time, wait bool) error {
	if wait {
		k.refreshing.Lock()
	} else if !k.refreshing.TryLock() {
		return nil
	}
	defer k.refreshing.Unlock()
	if !k.tried.IsZero() && now.Sub(k.tried) < refreshPause {
		return nil
	}
	k.tried = now
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	bySerial, err := k.download(ctx)
	if err != nil {
		return fmt.Errorf("wechatpay: downloading the platform certificates: %w", err)
	}
	k.loaded.Store(&certificates{at: now, bySerial: bySerial})
	return nil
}

// downloadCertificates asks for the platform certificates. They are encrypted with the APIv3 key,
// which proves who sent them, before the answer's signature can be checked with one of them.
func (p *Provider) downloadCertificates(ctx context.Context) (map[string]certificate, error) {
	response, err := p.send(ctx, http.MethodGet, "/v3/certificates", nil)
	if err != nil {
		return nil, err
	}
	if response.Status != http.StatusOK {
		return nil, problemOf(response)
	}
	var list struct {
		Data []struct {
			Serial  string    `json:"serial_no"`
			Before  time.Time `json:"effective_time"`
			Expiry  time.Time `json:"expire_time"`
			Content sealed    `json:"encrypt_certificate"`
		} `json:"data"`
	}
	if err := json.Unmarshal(response.Body, &list); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	bySerial := make(map[string]certificate, len(list.Data))
	for _, c := range list.Data {
		text, err := unseal(p.apiV3Key, c.Content)
		if err != nil {
			return nil, err
		}
		key, err := certificateKey(text, c.Serial)
		if err != nil {
			return nil, err
		}
		bySerial[c.Serial] = certificate{key: key, before: c.Before, expiry: c.Expiry}
	}
	m, err := markOf(response.Header, p.now())
	if err != nil {
		return nil, err
	}
	signer, ok := bySerial[m.serial]
	key := signer.key
	if m.serial == p.keys.publicKeyID && p.keys.publicKey != nil {
		key, ok = p.keys.publicKey, true
	}
	if !ok || rsasign.Verify(key, message(m.stamp, m.nonce, string(response.Body)), m.signature) != nil {
		return nil, errSignature
	}
	return bySerial, nil
}

// certificateKey reads a certificate and checks that it has the announced serial number.
func certificateKey(text []byte, serial string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("wechatpay: a platform certificate is no PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("wechatpay: a platform certificate cannot be read")
	}
	if !strings.EqualFold(parsed.SerialNumber.Text(16), strings.TrimLeft(serial, "0")) {
		return nil, errors.New("wechatpay: a platform certificate has another serial number than announced")
	}
	return rsasign.ParsePublicKey(text)
}
