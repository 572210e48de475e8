package report

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNotesFitIntoAnEvent(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"short":                     {"missing 3 of phone", "missing 3 of phone"},
		"as long as it may be":      {strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		"a byte too long":           {strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
		"cut within a character":    {strings.Repeat("x", 1020) + "手机", strings.Repeat("x", 1020) + "…"},
		"cut between characters":    {strings.Repeat("手", 400), strings.Repeat("手", 340) + "…"},
		"nothing but text too long": {strings.Repeat("手机 ", 1000), strings.Repeat("手机 ", 145) + "手机…"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Note(tt.text)
			if got != tt.want {
				t.Errorf("Note() = %q, want %q", got, tt.want)
			}
			if len(got) > 1024 || !utf8.ValidString(got) {
				t.Errorf("Note() has %d bytes, valid: %t", len(got), utf8.ValidString(got))
			}
		})
	}
}

func TestFewNamesTheFirstOfMany(t *testing.T) {
	var list []string
	for i := range 200 {
		list = append(list, fmt.Sprintf("sku-%d", i))
	}
	if got, want := Few(list[:2]), "sku-0, sku-1"; got != want {
		t.Errorf("Few() = %q, want %q", got, want)
	}
	want := "sku-0, sku-1, sku-2, sku-3, sku-4, sku-5, sku-6, sku-7, sku-8, sku-9 and 190 more"
	if got := Few(list); got != want {
		t.Errorf("Few() = %q, want %q", got, want)
	}
}
