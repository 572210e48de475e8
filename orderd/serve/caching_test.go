package serve

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

func TestGetAndCaches(t *testing.T) {
	issuer, s := counting(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	tests := []struct {
		name, path, message, token string
		wantStatus                 int
		wantCache                  string
	}{
		{
			name:       "what is the same for everybody",
			path:       getPromotion,
			message:    `{"promotion":"sale"}`,
			wantStatus: 200,
			wantCache:  "public, max-age=1",
		},
		{name: "an error", path: getPromotion, message: `{}`, wantStatus: 400, wantCache: "no-store"},
		{
			name:       "what is a buyer's",
			path:       looking,
			message:    `{"promotion":"sale","requestId":"r"}`,
			token:      issuer.Token("ann", "buyer"),
			wantStatus: 200,
			wantCache:  "no-store",
		},
		{
			name:       "what needs a token",
			path:       looking,
			message:    `{"promotion":"sale","requestId":"r"}`,
			wantStatus: 401,
			wantCache:  "no-store",
		},
		{
			name:       "what is for who has a role",
			path:       goods,
			message:    `{"sku":"A"}`,
			token:      issuer.Token("ann", "buyer"),
			wantStatus: 200,
			wantCache:  "no-store",
		},
		{name: "a mutation", path: placing, message: orderOf("ann"), token: issuer.Token("ann", "buyer"), wantStatus: 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query := url.Values{"encoding": {"json"}, "message": {tt.message}, "connect": {"v1"}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+tt.path+"?"+query.Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.token != "" {
				request.Header.Set("Authorization", "Bearer "+tt.token)
			}
			response, err := s.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != tt.wantStatus {
				t.Errorf("status %d, want %d", response.StatusCode, tt.wantStatus)
			}
			if got := response.Header.Get("Cache-Control"); got != tt.wantCache ||
				len(response.Header.Values("Cache-Control")) > 1 {
				t.Errorf("Cache-Control %q, want %q", response.Header.Values("Cache-Control"), tt.wantCache)
			}
		})
	}
}
