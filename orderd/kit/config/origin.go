package config

import (
	"net/url"
	"strconv"
	"strings"
)

// defaultPorts are those that browsers leave out of an origin.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// IsOrigin tells whether text is what a browser can send as its page's origin, or that with * for its
// port. What no browser sends would be allowed in vain.
func IsOrigin(text string) bool {
	rest, anyPort := strings.CutSuffix(text, ":*")
	u, err := url.Parse(rest)
	if err != nil || u.String() != u.Scheme+"://"+u.Host || u.Hostname() == "" || rest != strings.ToLower(rest) {
		return false
	}
	usual, known := defaultPorts[u.Scheme]
	switch port := u.Port(); {
	case !known || strings.ContainsAny(u.Host, "*, "):
		return false
	case strings.HasSuffix(u.Host, ":"), anyPort && port != "":
		return false
	case port == "":
		return true
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0 && port != usual
	}
}
