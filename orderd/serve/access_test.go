package serve

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/go-cmp/cmp"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

// accessCase is a call and what comes of it.
type accessCase struct {
	name          string
	authorization []string
	path, body    string
	wantStatus    int
	wantBody      []string
	wantChallenge string
}

// broken is a body that cannot be decoded: a call is refused before anyone tries.
const broken = `{"promotion":`

func callsOfBuyers(tokens *testauth.Issuer) []accessCase {
	return []accessCase{
		{
			name:          "a buyer for themselves",
			authorization: bearer(tokens.Token("ann", "buyer")),
			path:          placing,
			body:          orderOf("ann"),
			wantStatus:    200,
			wantBody:      []string{"for ann"},
		},
		{
			name:          "a buyer who need not say who they are",
			authorization: bearer(tokens.Token("ann", "buyer")),
			path:          placing,
			body:          orderOf(""),
			wantStatus:    200,
			wantBody:      []string{"for ann"},
		},
		{
			name:          "a guest",
			authorization: bearer(tokens.Guest("guest-1")),
			path:          placing,
			body:          orderOf(""),
			wantStatus:    200,
			wantBody:      []string{"for guest-1"},
		},
		{
			name:          "a buyer for another",
			authorization: bearer(tokens.Token("ann", "buyer")),
			path:          placing,
			body:          orderOf("bob"),
			wantStatus:    403,
			wantBody:      []string{"permission_denied", "OTHER_BUYER", "buyer_id"},
		},
		{
			name:          "a buyer for another, and staff elsewhere",
			authorization: bearer(tokens.Token("ann", "buyer", "returns")),
			path:          placing,
			body:          orderOf("bob"),
			wantStatus:    403,
			wantBody:      []string{"OTHER_BUYER"},
		},
		{
			name:          "a request that is for another and not valid either",
			authorization: bearer(tokens.Token("ann", "buyer")),
			path:          looking,
			body:          `{"buyerId":"bob"}`,
			wantStatus:    403,
			wantBody:      []string{"OTHER_BUYER"},
		},
	}
}

func callsOfServicesAndStaff(tokens *testauth.Issuer) []accessCase {
	return []accessCase{
		{
			name:          "a service for a buyer",
			authorization: bearer(tokens.Token("backend", "checkout")),
			path:          placing,
			body:          orderOf("bob"),
			wantStatus:    200,
			wantBody:      []string{"for bob"},
		},
		{
			name:          "a service that is a buyer too",
			authorization: bearer(tokens.Token("backend", "checkout", "buyer")),
			path:          placing,
			body:          orderOf("bob"),
			wantStatus:    200,
			wantBody:      []string{"for bob"},
		},
		{
			name:          "a service that does not say for whom",
			authorization: bearer(tokens.Token("backend", "checkout")),
			path:          placing,
			body:          orderOf(""),
			wantStatus:    400,
			wantBody:      []string{"invalid_argument", "INVALID_REQUEST", "buyer_id"},
		},
		{
			name:          "an RPC that names no buyer",
			authorization: bearer(tokens.Token("ann", "buyer")),
			path:          goods,
			body:          `{"sku":"tea"}`,
			wantStatus:    200,
			wantBody:      []string{"ann as buyer"},
		},
		{
			name:          "staff",
			authorization: bearer(tokens.Token("carol", "catalog", "returns")),
			path:          goods,
			body:          `{"sku":"tea"}`,
			wantStatus:    200,
			wantBody:      []string{"carol as catalog"},
		},
		{
			name:          "a service of two words",
			authorization: bearer(tokens.Token("wms", "fulfilment-sync", "returns")),
			path:          goods,
			body:          `{"sku":"tea"}`,
			wantStatus:    200,
			wantBody:      []string{"wms as fulfilment-sync"},
		},
	}
}

func callsWithoutAGoodToken(tokens *testauth.Issuer) []accessCase {
	old := tokens.Claims("ann", "buyer")
	old["exp"] = time.Now().Add(-time.Hour).Unix()
	return []accessCase{
		{
			name:          "no token",
			path:          placing,
			body:          broken,
			wantStatus:    401,
			wantBody:      []string{"unauthenticated", "TOKEN_MISSING"},
			wantChallenge: "Bearer",
		},
		{
			name:          "no JWT",
			authorization: []string{"Bearer x"},
			path:          placing,
			body:          broken,
			wantStatus:    401,
			wantBody:      []string{"unauthenticated", "TOKEN_INVALID"},
			wantChallenge: `Bearer error="invalid_token"`,
		},
		{
			name: "another scheme", authorization: []string{"Basic YTpi"}, path: placing, body: broken,
			wantStatus: 401, wantBody: []string{"TOKEN_INVALID"}, wantChallenge: `Bearer error="invalid_token"`,
		},
		{
			name:          "two tokens",
			authorization: append(bearer(tokens.Token("ann", "buyer")), bearer(tokens.Token("bob", "buyer"))...),
			path:          placing,
			body:          broken,
			wantStatus:    401,
			wantBody:      []string{"TOKEN_INVALID"},
			wantChallenge: `Bearer error="invalid_token"`,
		},
		{
			name:          "an old token",
			authorization: bearer(tokens.Sign(old)),
			path:          placing,
			body:          broken,
			wantStatus:    401,
			wantBody:      []string{"unauthenticated", "TOKEN_EXPIRED"},
			wantChallenge: `Bearer error="invalid_token"`,
		},
	}
}

func callsWithoutTheRole(tokens *testauth.Issuer) []accessCase {
	return []accessCase{
		{
			name:          "a buyer at the staff's desk",
			authorization: bearer(tokens.Token("ann", "buyer")),
			path:          adjusting,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"permission_denied", "ROLE_MISSING", "catalog,catalog-sync"},
		},
		{
			name:          "staff of another desk",
			authorization: bearer(tokens.Token("rita", "returns", "operations")),
			path:          adjusting,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING"},
		},
		{
			name:          "staff as a buyer",
			authorization: bearer(tokens.Token("carol", "catalog")),
			path:          placing,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING", "buyer,checkout"},
		},
		{
			name:          "a service of another job",
			authorization: bearer(tokens.Token("page", "admission", "catalog-sync", "fulfilment-sync")),
			path:          placing,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING", "buyer,checkout"},
		},
		{
			name:          "the shop's backend at its page's",
			authorization: bearer(tokens.Token("backend", "checkout")),
			path:          admitting,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING", "admission"},
		},
		{
			name:          "a role that there is not",
			authorization: bearer(tokens.Token("backend", "admin")),
			path:          placing,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING"},
		},
		{
			name:          "nobody in particular",
			authorization: bearer(tokens.Token("dan")),
			path:          placing,
			body:          broken,
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING"},
		},
		{
			name:          "an RPC that says of nobody that they may call it",
			path:          releasing,
			body:          broken,
			authorization: bearer(tokens.Token("root", auth.RolesOf(everyRole()...).Names()...)),
			wantStatus:    403,
			wantBody:      []string{"ROLE_MISSING"},
		},
	}
}

func callsOfThePublic() []accessCase {
	return []accessCase{
		{name: "the public", path: getPromotion, body: `{"promotion":"sale"}`, wantStatus: 200},
		{
			name:          "the public with a token that is no good",
			authorization: []string{"Bearer x"},
			path:          getPromotion,
			body:          `{"promotion":"sale"}`,
			wantStatus:    200,
		},
	}
}

func TestWhoMayCall(t *testing.T) {
	tokens, s := counting(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	for _, tt := range slices.Concat(callsOfBuyers(tokens), callsOfServicesAndStaff(tokens),
		callsWithoutAGoodToken(tokens), callsWithoutTheRole(tokens), callsOfThePublic()) {
		t.Run(tt.name, func(t *testing.T) {
			status, header, body := post(t, s, tt.authorization, tt.path, tt.body)
			if status != tt.wantStatus || header.Get("WWW-Authenticate") != tt.wantChallenge {
				t.Errorf("status %d, challenge %q; want %d, %q; body %s", status, header.Get("WWW-Authenticate"), tt.wantStatus,
					tt.wantChallenge, body)
			}
			text := string(body)
			if status != http.StatusOK {
				text += decodeDetails(t, body)
			}
			for _, want := range tt.wantBody {
				if !strings.Contains(text, want) {
					t.Errorf("body %s does not say %s", text, want)
				}
			}
		})
	}
}

func everyRole() []accessv1.Role {
	var all []accessv1.Role
	for value := range accessv1.Role_name {
		all = append(all, accessv1.Role(value))
	}
	return all
}

// A question may be asked by GET, whose message is in the URL.
func TestQuestionsByGet(t *testing.T) {
	tokens, s := counting(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	message := `{"promotion":"sale","requestId":"r","buyerId":"bob"}`
	for subject, want := range map[string]int{
		"bob": http.StatusOK, "ann": http.StatusForbidden, "": http.StatusUnauthorized,
	} {
		query := url.Values{"connect": {"v1"}, "encoding": {"json"}, "message": {message}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+looking+"?"+query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if subject != "" {
			request.Header.Set("Authorization", "Bearer "+tokens.Token(subject, "buyer"))
		}
		if status, _, body := do(t, s, request); status != want {
			t.Errorf("%q asks for bob's order: status %d, want %d; body %s", subject, status, want, body)
		}
	}
}

func TestProtocols(t *testing.T) {
	tokens, s := counting(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	for name, options := range map[string][]connecthttp.Option{
		"Connect": nil, "gRPC": {connecthttp.WithGRPC()}, "gRPC-Web": {connecthttp.WithGRPCWeb()},
	} {
		call := func(token string) error {
			transport := connecthttp.NewTransport(s.Client(), s.URL, options...)
			c := flashv1connect.NewFlashServiceClient(connect.NewClient(transport, issuer.Bearer(token)))
			_, err := c.PlaceFlashOrder(t.Context(), &flashv1.PlaceFlashOrderRequest{
				Promotion: "sale", RequestId: "r", Items: []*flashv1.FlashOrderItem{{Sku: "A", Quantity: 1}},
			})
			return err
		}
		if err := call(tokens.Token("ann", "buyer")); err != nil {
			t.Errorf("%s, a buyer: %v", name, err)
		}
		if err := call(""); connect.CodeOf(err) != connect.CodeUnauthenticated || rpcerr.Reason(err) != "TOKEN_MISSING" {
			t.Errorf("%s, no token: %v, want UNAUTHENTICATED/TOKEN_MISSING", name, err)
		}
	}
}

func TestTooManyRequestsOfOneCaller(t *testing.T) {
	// More fall due while this runs, but not many.
	tokens, s := counting(t, auth.Limits{PerSecond: 1, Burst: 3})
	ann, bob, backend := bearer(tokens.Token("ann", "buyer")), bearer(tokens.Token("bob", "buyer")), bearer(
		tokens.Token("ann", "checkout"),
	)
	refused := 0
	for range 20 {
		// Not decoded where it is refused.
		if status, _, body := post(t, s, ann, placing, `{"promotion":`); status == http.StatusTooManyRequests {
			refused++
			if text := string(body) + decodeDetails(t, body); !strings.Contains(text, "RATE_LIMITED") ||
				!strings.Contains(text, "google.rpc.RetryInfo") {
				t.Errorf("body %s, want RATE_LIMITED with a delay", text)
			}
		}
	}
	if refused < 10 {
		t.Errorf("%d of 20 requests refused, want most", refused)
	}
	if status, _, body := post(t, s, bob, placing, orderOf("")); status != http.StatusOK {
		t.Errorf("another buyer: %d %s", status, body)
	}
	for range 20 {
		if status, _, body := post(t, s, backend, placing, orderOf("bob")); status != http.StatusOK {
			t.Errorf("a service: %d %s", status, body)
		}
	}
}

func TestRoleNames(t *testing.T) {
	want := []string{
		"buyer", "catalog", "returns", "marketing", "operations", "support", "fulfilment", "finance",
		"checkout", "admission", "catalog-sync", "fulfilment-sync", "invoice-sync",
	}
	if diff := cmp.Diff(want, auth.RolesOf(everyRole()...).Names()); diff != "" {
		t.Errorf("names of roles in tokens (-want +got):\n%s", diff)
	}
}
