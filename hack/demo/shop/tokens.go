package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/hack/demo/outside/issuer"
)

const (
	// tokensAtOnce are asked for in one request.
	tokensAtOnce  = 5000
	tokensWithin  = time.Minute
	maxTokenBytes = 16 << 20
)

// Tokens are given by the demo's issuer, in the order of the claims.
func Tokens(ctx context.Context, issuerURL string, claims []issuer.Claim) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokensWithin)
	defer cancel()
	var all []string
	for len(claims) > 0 {
		n := min(len(claims), tokensAtOnce)
		some, err := tokens(ctx, issuerURL, claims[:n])
		if err != nil {
			return nil, fmt.Errorf("asking %s for tokens: %w", issuerURL, err)
		}
		all, claims = append(all, some...), claims[n:]
	}
	return all, nil
}

func tokens(ctx context.Context, issuerURL string, claims []issuer.Claim) ([]string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, issuerURL+"/tokens", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBytes))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", res.Status, raw)
	}
	var out []string
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	if len(out) != len(claims) {
		return nil, fmt.Errorf("%d tokens for %d claims", len(out), len(claims))
	}
	return out, nil
}

// AsStaff makes the calls with this context come from a member of the staff with these roles.
func AsStaff(ctx context.Context, issuerURL string, roles ...string) (context.Context, error) {
	tokens, err := Tokens(ctx, issuerURL, []issuer.Claim{{Subject: "demo-staff", Roles: roles}})
	if err != nil {
		return nil, err
	}
	return As(ctx, tokens[0]), nil
}

type tokenKey struct{}

// As makes the calls with this context come with the token.
func As(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// bearer sends the context's token.
func bearer(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		token, _ := ctx.Value(tokenKey{}).(string)
		if info, ok := connect.CallInfoForClientContext(ctx); ok && token != "" {
			info.RequestHeader().Set("Authorization", "Bearer "+token)
		}
		return next(ctx, spec)
	}
}
