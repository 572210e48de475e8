package config

import "testing"

func TestOrigins(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://shop.example":      true,
		"http://localhost:5173":     true,
		"http://localhost:*":        true,
		"https://[::1]:8443":        true,
		"https://shop.example:*":    true,
		"":                          false,
		"*":                         false,
		"null":                      false,
		"shop.example":              false,
		"https://":                  false,
		"https://*":                 false,
		"https://*.shop.example":    false,
		"https://shop.example/":     false,
		"https://shop.example/a":    false,
		"https://shop.example?a":    false,
		"https://me@shop.example":   false,
		"https://shop.example:":     false,
		"https://shop.example:443":  false,
		"http://shop.example:80":    false,
		"https://shop.example:80":   true,
		"https://shop.example:0":    false,
		"https://shop.example:7000": true,
		"https://shop.example:1:*":  false,
		"https://a:99999":           false,
		"HTTPS://shop.example":      false,
		"https://Shop.example":      false,
		"ftp://shop.example":        false,
		"https://a.example,https:b": false,
		"https://a b":               false,
	} {
		if got := IsOrigin(origin); got != want {
			t.Errorf("IsOrigin(%q) = %t, want %t", origin, got, want)
		}
	}
}
