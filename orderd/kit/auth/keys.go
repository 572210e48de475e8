package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	// refreshInterval is how long a key that the issuer has withdrawn is taken at most.
	refreshInterval = 5 * time.Minute
	// retryInterval is how soon the JWKS is asked for again while it cannot be read.
	retryInterval = 2 * time.Second
	// fetchTimeout bounds one read of the JWKS.
	fetchTimeout = 5 * time.Second
	// Tokens with unknown keys make the pod read the JWKS: this many times at once, then
	// every lookupInterval.
	lookupBurst    = 4
	lookupInterval = 5 * time.Second
	// absentFor is how long a key id that the JWKS did not have is refused without another look.
	absentFor   = 10 * time.Second
	maxAbsent   = 1024
	maxKeyID    = 256
	maxSetBytes = 1 << 20
	maxKeys     = 64
	minRSABits  = 2048
)

var (
	errNoKeys       = errors.New("the issuer's keys have not been read yet")
	errKeyID        = errors.New("the token's header has no usable kid")
	errEmptySet     = errors.New("the JWKS has no key that can be used")
	errLookedTooOft = errors.New("the JWKS was read too often")
)

// keys are the issuer's, from its JWKS. They are a jwkset.Storage, which keyfunc reads.
type keys struct {
	*jwkset.MemoryJWKSet

	url    string
	client *http.Client
	now    func() time.Time
	limit  *rate.Limiter
	flight singleflight.Group
	// absent are key ids that the JWKS did not have, and when.
	absent *lru.Cache[string, time.Time]
	// generation counts the sets that differed from the one before; 0: none was read.
	generation atomic.Uint64
	// raw is the set in use, as it was last read; written in flight only.
	raw []byte
	// readAt is when the JWKS was last read, in Unix nanoseconds.
	readAt atomic.Int64
}

func newKeys(url string, client *http.Client, now func() time.Time) (*keys, error) {
	absent, err := lru.New[string, time.Time](maxAbsent)
	if err != nil {
		return nil, err
	}
	return &keys{
		MemoryJWKSet: jwkset.NewMemoryStorage(), url: url, client: client, now: now, absent: absent,
		limit: rate.NewLimiter(rate.Every(lookupInterval), lookupBurst),
	}, nil
}

// unavailableError is that a key could not be looked up now, whether or not the issuer has it.
type unavailableError struct {
	after time.Duration
	cause error
}

func (e *unavailableError) Error() string { return "looking up the token's key: " + e.cause.Error() }
func (e *unavailableError) Unwrap() error { return e.cause }

// KeyRead is a known key, or one that the JWKS has by now. It is jwkset.ErrKeyNotFound if the JWKS
// was read and has none, and an *unavailableError if it could not be read.
func (k *keys) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	if id == "" || len(id) > maxKeyID {
		return jwkset.JWK{}, errKeyID
	}
	key, err := k.MemoryJWKSet.KeyRead(ctx, id)
	if err == nil {
		return key, nil
	}
	if at, ok := k.absent.Get(id); ok && k.now().Sub(at) < absentFor {
		return jwkset.JWK{}, err
	}
	if err := k.lookUp(ctx); err != nil {
		return jwkset.JWK{}, err
	}
	key, err = k.MemoryJWKSet.KeyRead(ctx, id)
	if errors.Is(err, jwkset.ErrKeyNotFound) {
		k.absent.Add(id, k.now())
	}
	return key, err
}

// lookUp reads the JWKS for a token, together with the other tokens that wait for it.
func (k *keys) lookUp(ctx context.Context) error {
	done := k.flight.DoChan("", func() (any, error) {
		now := k.now()
		if r := k.limit.ReserveN(now, 1); r.DelayFrom(now) > 0 {
			after := r.DelayFrom(now)
			r.CancelAt(now)
			return nil, &unavailableError{after: after, cause: errLookedTooOft}
		}
		if err := k.read(); err != nil {
			return nil, &unavailableError{after: retryInterval, cause: err}
		}
		return nil, nil
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refresh reads the JWKS, unless it is being read.
func (k *keys) refresh() error {
	_, err, _ := k.flight.Do("", func() (any, error) { return nil, k.read() })
	return err
}

// read takes the place of the known keys, or leaves them if the JWKS cannot be read or has no
// usable key: an issuer without a key is broken, and who it signed for before is not. It runs once
// at a time, with a time-out of its own: the call that it is made for may end before.
func (k *keys) read() error {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	raw, err := k.fetch(ctx)
	if err != nil {
		return fmt.Errorf("reading the JWKS: %w", err)
	}
	set, err := parseSet(raw)
	if err != nil {
		return fmt.Errorf("reading the JWKS: %w", err)
	}
	k.readAt.Store(k.now().UnixNano())
	if string(raw) == string(k.raw) {
		return nil
	}
	if err := k.KeyReplaceAll(ctx, set); err != nil {
		return err
	}
	k.raw = raw
	// After the set: a token that was verified in between counts for the set before,
	// and is verified again.
	k.generation.Add(1)
	return nil
}

func (k *keys) fetch(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered %s", res.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxSetBytes+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxSetBytes {
		return nil, fmt.Errorf("the JWKS is larger than %d bytes", maxSetBytes)
	}
	return raw, nil
}

// parseSet takes the keys that a token of ours can be signed with, and passes over others: a set may
// have keys for other uses and of kinds that are not known yet.
func parseSet(raw []byte) ([]jwkset.JWK, error) {
	var wire struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, err
	}
	if len(wire.Keys) > maxKeys {
		return nil, fmt.Errorf("the JWKS has %d keys, more than %d", len(wire.Keys), maxKeys)
	}
	var set []jwkset.JWK
	for _, one := range wire.Keys {
		key, err := jwkset.NewJWKFromRawJSON(one, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err == nil && usable(key) {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil, errEmptySet
	}
	return set, nil
}

// usable keys are public, named, for signatures, and of an algorithm that tokens may have.
func usable(key jwkset.JWK) bool {
	m := key.Marshal()
	if m.KID == "" || len(m.KID) > maxKeyID || m.USE != "" && m.USE != jwkset.UseSig {
		return false
	}
	switch public := key.Key().(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits && (m.ALG == "" || m.ALG == jwkset.AlgRS256)
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256() && (m.ALG == "" || m.ALG == jwkset.AlgES256)
	case ed25519.PublicKey:
		return m.ALG == "" || m.ALG == jwkset.AlgEdDSA
	}
	return false
}
