package payment

import (
	"maps"
	"net/http"
)

// Pager is a [Provider] that serves pages of its own on this server, as the sandbox does.
type Pager interface {
	Provider
	// Pages by their patterns of an [http.ServeMux], such as /sandbox/pay. Buyers see them; they
	// are served without a caller's token.
	Pages() map[string]http.Handler
}

// Pages are those that the providers serve here, by pattern. They are looked for before [Guard],
// which keeps no more of a provider than its calls.
func Pages(providers []Provider) map[string]http.Handler {
	all := map[string]http.Handler{}
	for _, p := range providers {
		if pager, ok := p.(Pager); ok {
			maps.Copy(all, pager.Pages())
		}
	}
	return all
}
