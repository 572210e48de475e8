package auth

import (
	"testing"

	"github.com/MicahParks/jwkset"
)

// FuzzSet: whatever the JWKS is, only keys come of it that a token may be signed
// with, each with a name.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256",
			"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
			"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
			"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
			"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
		`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"oct","kid":"b","k":"AAAA"}]}`,
		`{"keys":[{"kty":"RSA","kid":"a","x5u":"https://elsewhere/cert","n":"AQAB","e":"AQAB"}]}`, `{"keys":{}}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseSet(raw)
		if (err == nil) == (len(set) == 0) {
			t.Fatalf("%d keys and error %v", len(set), err)
		}
		for _, key := range set {
			m := key.Marshal()
			if !usable(key) || m.KID == "" || m.KTY == jwkset.KtyOct || len(set) > maxKeys {
				t.Fatalf("%+v came of %s", m, raw)
			}
		}
	})
}
