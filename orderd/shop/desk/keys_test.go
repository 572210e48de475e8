package desk

import (
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestPhoneKey(t *testing.T) {
	for phone, want := range map[string]string{
		"":                     "",
		"none":                 "",
		"+86 138 0013 8000":    "00138000",
		"138-0013-8000":        "00138000",
		"(0571) 8888 1234":     "88881234",
		"88881234":             "88881234",
		"12345":                "12345",
		"１３８００１３８０００":          "00138000",
		"+86 138 0013 8000 x7": "01380007",
	} {
		if got := phoneKey(phone); got != want {
			t.Errorf("phoneKey(%q) = %q, want %q", phone, got, want)
		}
	}
}

func TestNameKey(t *testing.T) {
	for name, want := range map[string]string{
		"":                    "",
		" \t　":                "",
		"Ann  Lee ":           "ann lee",
		"ANN LEE":             "ann lee",
		"José":                "josé",
		"Jose\u0301":          "josé",
		"Straße":              "strasse",
		"ΣΊΣΥΦΟΣ":             "σίσυφοσ",
		"李雷":                  "李雷",
		"李　雷":                 "李 雷",
		"Ｗａｎｇ Ｌｅｉ":            "wang lei",
		"한글":                  norm.NFC.String("한글"),
		norm.NFD.String("한글"): norm.NFC.String("한글"),
		"がぎ":                  norm.NFC.String("がぎ"),
		norm.NFD.String("がぎ"): norm.NFC.String("がぎ"),
	} {
		if got := nameKey(name); got != want {
			t.Errorf("nameKey(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestTrackingKey(t *testing.T) {
	for number, want := range map[string]string{
		"":                "",
		" - ":             "",
		"SF123":           "SF123",
		"sf 123-456\t":    "SF123456",
		"ＳＦ１２３":           "SF123",
		"1Z 999 AA1 0123": "1Z999AA10123",
	} {
		if got := trackingKey(number); got != want {
			t.Errorf("trackingKey(%q) = %q, want %q", number, got, want)
		}
	}
}

// A name's key is the same however the name is written, and its own key.
func TestNameKeyIsOneForAllForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// x/text exchanges the cases of Cherokee.
		name := rapid.StringMatching(`[^\p{Cherokee}]*`).Draw(t, "name")
		key := nameKey(name)
		for _, form := range []string{norm.NFC.String(name), norm.NFD.String(name), " " + name + "  ", key} {
			if got := nameKey(form); got != key {
				t.Fatalf("%q has the key %q, and as %q the key %q", name, key, form, got)
			}
		}
	})
}
