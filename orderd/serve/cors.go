package serve

import (
	"net/http"
	"slices"
	"time"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"

	"github.com/orderd-dev/orderd/orderd/flash/placement"
)

// preflightAge is how long a browser need not ask again whether it may ask.
const preflightAge = 2 * time.Hour

// crossOrigin lets pages of the named origins call the handler from a browser; nobody's, if none is
// named. It lets nothing pass that would not have passed without: a browser's users have tokens, and
// no cookie is ever taken.
func crossOrigin(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: connectcors.AllowedMethods(),
		AllowedHeaders: slices.Concat(connectcors.AllowedHeaders(), []string{"Authorization", placement.RouteHeader}),
		ExposedHeaders: slices.Concat(connectcors.ExposedHeaders(), []string{"Retry-After"}),
		MaxAge:         int(preflightAge.Seconds()),
	}).Handler(next)
}
