package returns

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func FuzzPageToken(f *testing.F) {
	_, token := page([]*Return{{ID: uuid.New(), CreatedAt: time.UnixMilli(1_800_000_000_000)}, {}}, 1)
	f.Add(token)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		at, id, err := parsePageToken(token)
		if err != nil || token == "" {
			return
		}
		if at.Year() < 1970 || at.Year() > 9999 {
			t.Fatalf("%v is no time for the database", at)
		}
		_, same := page([]*Return{{ID: id, CreatedAt: at}, {}}, 1)
		again, other, err := parsePageToken(same)
		if err != nil || !again.Equal(at) || other != id {
			t.Fatalf("%q: %v, %v, %v", token, again, other, err)
		}
	})
}
