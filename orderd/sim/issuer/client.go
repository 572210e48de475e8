package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
)

const (
	// tokensAtOnce are asked for in one request.
	tokensAtOnce  = 5000
	tokensWithin  = time.Minute
	maxTokenBytes = 16 << 20
)

// Ask asks the issuer at a base URL for tokens, which come in the order of the claims. It gives up
// after a minute.
func Ask(ctx context.Context, baseURL string, claims []Claim) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokensWithin)
	defer cancel()
	all := make([]string, 0, len(claims))
	for len(claims) > 0 {
		n := min(len(claims), tokensAtOnce)
		some, err := ask(ctx, baseURL+TokensPath, claims[:n])
		if err != nil {
			return nil, fmt.Errorf("asking %s for tokens: %w", baseURL, err)
		}
		all, claims = append(all, some...), claims[n:]
	}
	return all, nil
}

func ask(ctx context.Context, url string, claims []Claim) ([]string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
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

// Bearer sends a token with every RPC of a client.
func Bearer(token string) connect.ClientInterceptor {
	return BearerFunc(func(context.Context) string { return token })
}

// BearerFunc sends what token returns with every RPC of a client; nothing if that is empty.
func BearerFunc(token func(context.Context) string) connect.ClientInterceptor {
	return func(next connect.ClientFunc) connect.ClientFunc {
		return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
			if info, ok := connect.CallInfoForClientContext(ctx); ok {
				if t := token(ctx); t != "" {
					info.RequestHeader().Set("Authorization", "Bearer "+t)
				}
			}
			return next(ctx, spec)
		}
	}
}

// tokenKey is the context's key of a token.
type tokenKey struct{}

// As makes the calls with this context come with the token, if their client has [FromContext].
func As(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// FromContext sends the token that [As] put into a call's context; nothing if there is none.
func FromContext() connect.ClientInterceptor {
	return BearerFunc(func(ctx context.Context) string {
		token, _ := ctx.Value(tokenKey{}).(string)
		return token
	})
}
