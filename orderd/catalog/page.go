package catalog

import (
	"encoding/base64"
	"regexp"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 50

// code is what a SKU's code looks like, as the API has it.
var code = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// pageToken names the last SKU of a page.
func pageToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// parsePageToken takes only what pageToken made; empty is the first page.
func parsePageToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || !code.Match(raw) {
		return "", rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer to ListSkus", "field", "page_token")
	}
	return string(raw), nil
}
