// Package issuer is the identity provider of a shop that has none yet: it signs a token for any
// subject and roles that somebody asks it for, and publishes the keys that prove them.
//
// A demo serves it as it is ([Issuer.ServeHTTP]). Tests rotate and withdraw its keys, and sign claims
// that are wrong.
package issuer

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// DefaultLifetime of a token.
const DefaultLifetime = time.Hour

// Options of an Issuer. Name, Audience and Clock have to be set.
type Options struct {
	// Name is the tokens' iss, and Audience their aud.
	Name, Audience string
	// Clock is the time that tokens are issued at.
	Clock func() time.Time
	// Lifetime of a token; DefaultLifetime if zero.
	Lifetime time.Duration
	// Seed is a secret that the keys follow from, so that tokens outlive the process; empty: the keys
	// are made at random.
	Seed string
}

// Issuer signs tokens with ES256. It is safe for concurrent use.
type Issuer struct {
	name, audience, seed string
	lifetime             time.Duration
	now                  func() time.Time

	// mu guards what follows.
	mu sync.Mutex
	// key signs, under the id. published are its public half and those of the keys before it that are
	// not withdrawn.
	key       *ecdsa.PrivateKey
	id        string
	made      uint64
	published []jwkset.JWKMarshal
	reads     int
}

// Claim is who a token is for.
type Claim struct {
	Subject string `json:"subject"`
	// Roles of the subject, such as "buyer".
	Roles []string `json:"roles"`
	// Guest says that the subject is a buyer who has not signed in.
	Guest bool `json:"guest,omitempty"`
}

var errOptions = errors.New("issuer: name, audience and clock have to be set")

// New makes an issuer with one key.
func New(o Options) (*Issuer, error) {
	if o.Name == "" || o.Audience == "" || o.Clock == nil {
		return nil, errOptions
	}
	i := &Issuer{
		name: o.Name, audience: o.Audience, seed: o.Seed, now: o.Clock,
		lifetime: cmp.Or(o.Lifetime, DefaultLifetime),
	}
	return i, i.Rotate()
}

// Rotate makes a new key, publishes it beside the others and signs with it from now on.
func (i *Issuer) Rotate() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	key, err := i.next()
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		return fmt.Errorf("naming a key: %w", err)
	}
	sum := sha256.Sum256(raw)
	id := hex.EncodeToString(sum[:8])
	public, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: jwkset.AlgES256, USE: jwkset.UseSig},
	})
	if err != nil {
		return fmt.Errorf("publishing a key: %w", err)
	}
	i.key, i.id, i.published = key, id, append(i.published, public.Marshal())
	return nil
}

// next key of the seed, or one made at random. The caller holds the lock.
func (i *Issuer) next() (*ecdsa.PrivateKey, error) {
	if i.seed == "" {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	for {
		i.made++
		text := binary.BigEndian.AppendUint64([]byte("orderd issuer\x00"+i.seed+"\x00"), i.made)
		sum := sha256.Sum256(text)
		// One sum in 4 billion is no key of the curve; the next one is.
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:]); err == nil {
			return key, nil
		}
	}
}

// Withdraw takes every key but the newest out of the JWKS.
func (i *Issuer) Withdraw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = i.published[len(i.published)-1:]
}

// Reads is how often the JWKS was read.
func (i *Issuer) Reads() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

// Token signs a good token for who is claimed.
func (i *Issuer) Token(c Claim) (string, error) { return i.Sign(i.Claims(c)) }

// Claims of a good token, to be changed and signed.
func (i *Issuer) Claims(c Claim) jwt.MapClaims {
	now := i.now()
	claims := jwt.MapClaims{
		"iss": i.name, "aud": []string{i.audience}, "sub": c.Subject, "roles": c.Roles,
		"iat": now.Unix(), "exp": now.Add(i.lifetime).Unix(),
	}
	if c.Guest {
		claims["guest"] = true
	}
	return claims
}

// Sign makes a token of any claims with the newest key. It fails only for a claim that is no JSON.
func (i *Issuer) Sign(claims jwt.Claims) (string, error) {
	i.mu.Lock()
	key, id := i.key, i.id
	i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = id
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}
