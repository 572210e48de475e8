package serve

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

const misspelt = `{"promotion":"sale","requestid":"r"}`

// However a JSON message comes, a field that it has not is refused by name.
func TestUnknownFieldsAreRefusedHoweverTheyCome(t *testing.T) {
	tokens, s := counting(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	query := url.Values{"connect": {"v1"}, "encoding": {"json"}, "message": {misspelt}}
	envelope := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(misspelt)))...)
	envelope = append(envelope, misspelt...)
	for name, call := range map[string]struct{ method, path, contentType, body string }{
		"in a body":  {http.MethodPost, looking, "application/json", misspelt},
		"in a query": {http.MethodGet, looking + "?" + query.Encode(), "", ""},
		"in a stream": {
			http.MethodPost, "/orderd.flash.v1.FlashService/PlaceFlashOrders", "application/connect+json", string(envelope),
		},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), call.method, s.URL+call.path, strings.NewReader(call.body))
			if err != nil {
				t.Fatal(err)
			}
			if call.contentType != "" {
				request.Header.Set("Content-Type", call.contentType)
			}
			request.Header.Set("Authorization", "Bearer "+tokens.Token("a backend", "checkout"))
			_, _, raw := do(t, s, request)
			if !bytes.Contains(raw, []byte("invalid_argument")) || !bytes.Contains(raw, []byte("UNKNOWN_FIELD")) {
				t.Errorf("%s, want invalid_argument with UNKNOWN_FIELD", raw)
			}
		})
	}
}
