package coupon

import (
	"testing"

	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// Whatever somebody makes up for a token: it is refused, or it is one that this list could have made.
func FuzzPageTokens(f *testing.F) {
	f.Add("")
	f.Add(cursor{validUntil: now, id: [16]byte{1}}.token())
	f.Add(nameToken("welcome"))
	f.Add("________________________________")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := parseCursor(token); err != nil {
			if rpcerr.Reason(err) != "INVALID_PAGE_TOKEN" {
				t.Errorf("refused with %v", err)
			}
		} else if again, err := parseCursor(c.token()); token != "" && (err != nil || again != c) {
			t.Errorf("%+v is read again as %+v, %v", c, again, err)
		}
		if name, err := parseName(token); err != nil {
			if rpcerr.Reason(err) != "INVALID_PAGE_TOKEN" {
				t.Errorf("refused with %v", err)
			}
		} else if again, err := parseName(nameToken(name)); err != nil || again != name {
			t.Errorf("%q is read again as %q, %v", name, again, err)
		}
	})
}
