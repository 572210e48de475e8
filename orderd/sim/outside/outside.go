// Package outside is what a shop has beside orderd, for who tries it out: the issuer of its callers'
// tokens, a carrier, a push gateway and simulated payment providers, in one pod.
package outside

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/certs"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
)

const (
	tokenLifetime     = 24 * time.Hour
	readHeaderTimeout = 5 * time.Second
	// parcelStep is how long a parcel takes from one place to the next.
	parcelStep = 2 * time.Second
	// A provider sends a notification again so often, after a pause that doubles.
	notifyAttempts = 8
	notifyPause    = 200 * time.Millisecond
)

// Options of the pod.
type Options struct {
	// Address to listen on.
	Address string
	// Certificate and Key are files (PEM) that it shows at both addresses, read again when they are renewed; empty: it
	// speaks in clear text.
	Certificate, Key string
	// URL is where others reach this pod: the issuer's name.
	URL string
	// ShopURL is the standard pool, which the carrier pushes to.
	ShopURL string
	// Audience of the tokens.
	Audience string
	// Carrier is its name.
	Carrier string
	// Secrets is a folder with the files carrier, push and issuer.
	Secrets string
	// Parcels is a file that the carrier keeps its parcels in; empty: they end with the process.
	Parcels string
	// PSPAddress to listen on for the simulated payment providers, PSPURL where others reach them,
	// and PSPKeys the file of their keys. Without that file there are none.
	PSPAddress, PSPURL, PSPKeys string
}

// Run serves until ctx ends: the issuer at /tokens and /.well-known/jwks.json, the carrier at
// /carrier and /control, the push gateway at /push and, with what came, /push/taken.
func Run(ctx context.Context, o Options) error {
	keys := map[string]string{}
	for _, name := range []string{"carrier", "push", "issuer"} {
		raw, err := os.ReadFile(filepath.Join(o.Secrets, name))
		if err != nil {
			return fmt.Errorf("reading a secret: %w", err)
		}
		keys[name] = strings.TrimSpace(string(raw))
	}
	parcels := carrier.New(carrier.Options{
		Name: o.Carrier, Key: []byte(keys["carrier"]), ShopURL: o.ShopURL, Clock: time.Now, State: o.Parcels,
	})
	if err := parcels.Restore(); err != nil {
		return err
	}
	gateway, err := pushgateway.New(time.Now, keys["push"])
	if err != nil {
		return fmt.Errorf("push gateway: %w", err)
	}
	tokens, err := issuer.New(issuer.Options{
		Name: o.URL, Audience: o.Audience, Clock: time.Now, Lifetime: tokenLifetime, Seed: keys["issuer"],
	})
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(issuer.TokensPath, tokens)
	mux.Handle(issuer.JWKSPath, tokens)
	mux.Handle("/carrier/", http.StripPrefix("/carrier", parcels))
	mux.Handle("/control/", parcels.Control())
	mux.Handle("/push", gateway)
	mux.HandleFunc("GET /push/taken", func(w http.ResponseWriter, _ *http.Request) { taken(w, gateway) })
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.serve(ctx, o.Address, mux) })
	group.Go(func() error {
		parcels.Run(ctx, parcelStep)
		return nil
	})
	group.Go(func() error { return o.providers(ctx) })
	return group.Wait()
}

// providers serves the payment providers' simulator.
func (o Options) providers(ctx context.Context) error {
	keys, err := psp.LoadKeys(o.PSPKeys)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	simulator, err := psp.NewServer(psp.Options{
		Keys: keys, PublicURL: o.PSPURL, StripeWebhook: o.ShopURL + "/notifications/stripe", Pause: notifyPause,
		Attempts: notifyAttempts,
	})
	if err != nil {
		return err
	}
	defer simulator.Close()
	return o.serve(ctx, o.PSPAddress, simulator)
}

// taken tells how many notifications came, each counted once, by what happened to the order.
func taken(w http.ResponseWriter, gateway *pushgateway.Gateway) {
	byType := map[string]int{}
	for _, n := range gateway.Taken() {
		byType[n.Data.Event]++
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(byType) // The client is gone.
}

func (o Options) serve(ctx context.Context, address string, handler http.Handler) error {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: readHeaderTimeout}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if o.Certificate == "" {
		err = server.Serve(socket)
	} else {
		pair, perr := certs.Load(o.Certificate, o.Key)
		if perr != nil {
			return errors.Join(perr, socket.Close())
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Server}
		err = server.ServeTLS(socket, "", "")
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
