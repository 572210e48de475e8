package issuer

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/MicahParks/jwkset"
	"github.com/rs/cors"
)

// Where an issuer answers.
const (
	// JWKSPath has the keys.
	JWKSPath = "/.well-known/jwks.json"
	// TokensPath takes a POST of a list of Claims, and answers with a list of tokens in its order.
	TokensPath = "/tokens"
)

const (
	// maxTokens are given in one answer.
	maxTokens = 10_000
	// maxBytes of a request for tokens.
	maxBytes = 4 << 20
)

// anySite lets pages of any site ask: whoever reaches an issuer may have a token for anybody.
var anySite = cors.AllowAll()

// ServeHTTP answers at JWKSPath and TokensPath.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	anySite.ServeHTTP(w, r, i.serve)
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == JWKSPath && r.Method == http.MethodGet:
		i.serveKeys(w)
	case r.URL.Path == TokensPath && r.Method == http.MethodPost:
		i.serveTokens(w, r)
	case r.URL.Path == JWKSPath, r.URL.Path == TokensPath:
		http.Error(w, "another method, please", http.StatusMethodNotAllowed)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) serveKeys(w http.ResponseWriter) {
	i.mu.Lock()
	i.reads++
	set, err := json.Marshal(jwkset.JWKSMarshal{Keys: i.published})
	i.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(set) // The client is gone.
}

func (i *Issuer) serveTokens(w http.ResponseWriter, r *http.Request) {
	var claims []Claim
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBytes)).Decode(&claims); err != nil {
		http.Error(w, `want a list such as [{"subject": "alice", "roles": ["buyer"]}]: `+err.Error(), http.StatusBadRequest)
		return
	}
	if len(claims) > maxTokens {
		http.Error(w, fmt.Sprintf("at most %d tokens at once", maxTokens), http.StatusBadRequest)
		return
	}
	tokens := make([]string, len(claims))
	for n, c := range claims {
		var err error
		if tokens[n], err = i.Token(c); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(tokens) // The client is gone.
}
