package auth

import (
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// maxTokenBytes is well above what tokens have, and below what a request's headers may be.
const maxTokenBytes = 8 << 10

// bearer takes the token from the values of the Authorization header, by RFC 6750, section 2.1.
func bearer(values []string) (string, error) {
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", rpcerr.New(connect.CodeUnauthenticated, rpcerr.ReasonTokenMissing,
			"the Authorization header with a bearer token is missing")
	case len(values) > 1:
		return "", invalid("more than one Authorization header", nil)
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", invalid("the Authorization header is not of the scheme Bearer", nil)
	}
	token = strings.Trim(token, " ")
	if token == "" || len(token) > maxTokenBytes || strings.ContainsFunc(token, notInToken) {
		return "", invalid("the bearer token is not a JSON Web Token", nil)
	}
	return token, nil
}

// Bears tells whether a request comes with what may be a bearer token. One that does not is going to
// be refused by [Guard.Authenticate] wherever a token is needed, whatever is in its body.
func Bears(header http.Header) bool {
	const scheme = "Bearer "
	values := header["Authorization"]
	return len(values) == 1 && len(values[0]) > len(scheme) && strings.EqualFold(values[0][:len(scheme)], scheme)
}

// notInToken is true of what a compact JWT cannot have: it is base64url in parts joined by dots.
func notInToken(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
		return false
	}
	return true
}

// invalid says to the caller which check failed; what the library said of it stays inside.
func invalid(message string, cause error) *connect.Error {
	err := rpcerr.New(connect.CodeUnauthenticated, rpcerr.ReasonTokenInvalid, message)
	if cause != nil {
		err = err.WithCause(cause)
	}
	return err
}
