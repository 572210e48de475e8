package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// leeway is for clocks that differ.
	leeway = 30 * time.Second
	// maxSubject bounds sub, in bytes.
	maxSubject = 256
	// maxVerified is how many tokens are remembered as verified, so that a signature is checked
	// once a token and not once a request. An entry takes about 300 bytes.
	maxVerified = 1 << 16
)

// VerifierOptions say whose tokens are taken. Issuer, Audience, JWKSURL, Clock and
// Logger have to be set.
type VerifierOptions struct {
	Issuer   string
	Audience string
	// JWKSURL has the issuer's keys; http or https.
	JWKSURL string
	// Client reads the JWKS; one of its own if nil.
	Client     *http.Client
	Clock      func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Verifier checks tokens.
type Verifier struct {
	now      func() time.Time
	log      *slog.Logger
	keys     *keys
	keyfunc  keyfunc.Keyfunc
	parser   *jwt.Parser
	verified *lru.Cache[[sha256.Size]byte, verified]
	metrics  *verifierMetrics
}

// verified is a token whose signature was checked.
type verified struct {
	caller Caller
	// generation of the keys that it was checked with.
	generation uint64
}

// NewVerifier makes a verifier that knows no keys yet; Run reads them and keeps them fresh.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("issuer and audience of tokens must be set")
	}
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("URL of the JWKS %q: must be http or https", o.JWKSURL)
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: fetchTimeout}
	}
	k, err := newKeys(o.JWKSURL, o.Client, o.Clock)
	if err != nil {
		return nil, err
	}
	read, err := keyfunc.New(keyfunc.Options{Storage: k})
	if err != nil {
		return nil, err
	}
	cache, err := lru.New[[sha256.Size]byte, verified](maxVerified)
	if err != nil {
		return nil, err
	}
	metrics, err := newVerifierMetrics(o.Registerer, k, o.Clock)
	if err != nil {
		return nil, err
	}
	return &Verifier{
		now: o.Clock, log: o.Logger, keys: k, keyfunc: read, verified: cache, metrics: metrics,
		parser: jwt.NewParser(
			jwt.WithValidMethods(
				[]string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg()},
			),
			jwt.WithIssuer(o.Issuer),
			jwt.WithAudience(o.Audience),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(o.Clock),
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// Run reads the issuer's keys until ctx ends: at once, again soon while that fails,
// then every few minutes.
func (v *Verifier) Run(ctx context.Context) error {
	failing := false
	for {
		next := refreshInterval
		err := v.keys.refresh()
		switch {
		case errors.Is(err, errLookedTooOft):
			next = retryInterval
		case err != nil:
			next = retryInterval
			v.metrics.failures.Inc()
			if !failing {
				v.log.Warn("the issuer's keys cannot be read; the known ones go on", "known", v.keys.generation.Load() > 0, "error",
					err)
			}
			failing = true
		case failing:
			failing = false
			v.log.Info("the issuer's keys can be read again")
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// Ready is nil from the first time that the issuer's keys were read. An issuer that goes away later
// does not change it: the known keys go on.
func (v *Verifier) Ready() error {
	if v.keys.generation.Load() == 0 {
		return errNoKeys
	}
	return nil
}

// Verify tells who a token speaks for. Errors are those of this package's comment, of the codes
// UNAUTHENTICATED and UNAVAILABLE.
func (v *Verifier) Verify(ctx context.Context, token string) (Caller, error) {
	if len(token) > maxTokenBytes {
		return Caller{}, invalid("the bearer token is not a JSON Web Token", nil)
	}
	key := sha256.Sum256([]byte(token))
	generation := v.keys.generation.Load()
	if known, ok := v.verified.Get(key); ok && known.generation == generation {
		if !v.now().Before(known.caller.Expires) {
			v.verified.Remove(key)
			return Caller{}, Expired()
		}
		v.metrics.remembered.Inc()
		return known.caller, nil
	}
	claims := &claims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.key(ctx)); err != nil {
		return Caller{}, refusal(ctx, err)
	}
	v.metrics.verified.Inc()
	caller := claims.caller()
	// With the generation from before, so that a set that came in between makes this one old.
	v.verified.Add(key, verified{caller: caller, generation: generation})
	return caller, nil
}

// key insists on a kid; without one keyfunc tries every key there is.
func (v *Verifier) key(ctx context.Context) jwt.Keyfunc {
	find := v.keyfunc.KeyfuncCtx(ctx)
	return func(t *jwt.Token) (any, error) {
		if id, ok := t.Header[jwkset.HeaderKID].(string); !ok || id == "" {
			return nil, errKeyID
		}
		return find(t)
	}
}

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims

	Roles []string `json:"roles"`
	Guest bool     `json:"guest"`
}

var (
	errSubject = errors.New("sub must have 1 to 256 bytes of printable text")
	errGuest   = errors.New("a guest can have no role but buyer")
)

// Validate is called by the parser beside its own checks.
func (c *claims) Validate() error {
	s := c.Subject
	if s == "" || len(s) > maxSubject || !utf8.ValidString(s) {
		return errSubject
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return errSubject
		}
	}
	if c.Guest && c.roles()&^RolesOf(accessv1.Role_ROLE_BUYER) != 0 {
		return errGuest
	}
	return nil
}

func (c *claims) roles() Roles {
	var set Roles
	for _, name := range c.Roles {
		set |= RolesOf(roleNamed(name))
	}
	return set
}

func (c *claims) caller() Caller {
	return Caller{Subject: c.Subject, Roles: c.roles(), Guest: c.Guest, Expires: c.ExpiresAt.Add(leeway)}
}

// refusal is what the caller sees of an error of the parser. An expired token is only called so
// if nothing else is wrong with it: a new one would be taken.
func refusal(ctx context.Context, err error) error {
	var away *unavailableError
	switch {
	case errors.As(err, &away):
		return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonKeysUnavailable, "the token's key cannot be looked up now",
			away.after).WithCause(err)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return invalid("the token is of another issuer", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return invalid("the token is for another audience", err)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return invalid("the token lacks a claim that is required: iss, aud, exp, sub", err)
	case errors.Is(err, errSubject), errors.Is(err, errGuest):
		return invalid(
			"the token's claims are not valid: sub has 1 to 256 bytes of printable text, and a guest no role but buyer",
			err,
		)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return invalid("the token is not valid yet", err)
	case errors.Is(err, jwt.ErrTokenExpired):
		return Expired().WithCause(err)
	case errors.Is(err, errKeyID), errors.Is(err, jwkset.ErrKeyNotFound):
		return invalid("the token is signed with a key that the issuer does not have", err)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return invalid("the token's signature is not the issuer's; RS256, ES256 and EdDSA are taken", err)
	}
	return invalid("the bearer token is not a JSON Web Token", err)
}

// Expired is the refusal of a token that has expired, for who finds it later than Verify did.
func Expired() *connect.Error {
	return rpcerr.New(connect.CodeUnauthenticated, rpcerr.ReasonTokenExpired, "the token has expired")
}
