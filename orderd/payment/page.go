package payment

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 20

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPageSize
	}
	return int(asked)
}

// cursor is the key of a page's last row: when it was, and what tells it from others of the same time.
type cursor struct {
	At time.Time `json:"t,omitzero"`
	ID string    `json:"i"`
	// More is the rest of a longer key.
	More string `json:"m,omitempty"`
}

// token names the cursor for the caller.
func (c cursor) token() string {
	// Times and texts always become JSON.
	raw, _ := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// parseCursor takes what token made; an empty token is otherwise.
func parseCursor(token string, otherwise cursor) (cursor, error) {
	if token == "" {
		return otherwise, nil
	}
	var c cursor
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	// The database has no text with a zero byte.
	if err != nil || strings.ContainsRune(c.ID+c.More, 0) {
		return cursor{}, invalidToken()
	}
	return c, nil
}

func invalidToken() error {
	return rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer of this list", "field", "page_token")
}
