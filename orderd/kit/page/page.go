// Package page cuts lists into pages and names where each goes on. Every list of orderd is read by
// key: a page's token holds the key of its last row, and the next page begins behind it, so that
// rows that come or go in between are neither skipped nor repeated.
package page

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Field is the request's field that holds a token, as errors name it.
const Field = "page_token"

// Token names the row that has the key: each part is a string, a [time.Time], a uuid.UUID, a number
// or bytes, in the order in which [Parse] reads them. Callers see it as text without meaning.
func Token(key ...any) string {
	// Values of these types always become JSON.
	raw, _ := json.Marshal(key)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Parse reads a token that [Token] made into pointers to its parts, and tells whether there was
// one: an empty token is the first page. A token that Token did not make with parts of these types
// is [Invalid]. That the parts make sense, such as that an order is the caller's, is for the list
// to check, which answers Invalid as well.
func Parse(token string, into ...any) (given bool, err error) {
	if token == "" {
		return false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return false, Invalid()
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) != len(into) {
		return false, Invalid()
	}
	for i, part := range parts {
		if string(part) == "null" || json.Unmarshal(part, into[i]) != nil {
			return false, Invalid()
		}
		// Databases have no text with a zero byte.
		if text, ok := into[i].(*string); ok && strings.ContainsRune(*text, 0) {
			return false, Invalid()
		}
	}
	return true, nil
}

// Invalid is what a caller sees whose page token this list did not make:
// INVALID_ARGUMENT/INVALID_PAGE_TOKEN with the field.
func Invalid() error {
	const text = "page_token is not from an answer of this list; begin with the first page"
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonInvalidPageToken, text, "field", Field)
}

// Size is how many rows a page has: as many as were asked for, or otherwise. The proto's rules
// bound what may be asked.
func Size(asked int32, otherwise int) int {
	if asked <= 0 {
		return otherwise
	}
	return int(asked)
}

// Cut makes a page of rows that were read with one more than the page's size, and the token of the
// next page, which is empty if there is none.
func Cut[T any](rows []T, size int, key func(last T) []any) (page []T, next string) {
	if len(rows) <= size {
		return rows, ""
	}
	return rows[:size], Token(key(rows[size-1])...)
}
