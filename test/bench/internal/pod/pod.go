// Package pod has what a benchmark's pods are configured with.
package pod

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// IssuerName and Audience of the token that the load has.
const (
	IssuerName = "https://issuer.test"
	Audience   = "orderd-bench"
)

// Options of a pod.
type Options struct {
	// Folder that its files are written to, below its name.
	Folder, Name string
	// DatabaseURL is empty for a role without a database.
	DatabaseURL, NATSURL, JWKSURL string
	// Change what is configured, if set.
	Change func(*config.Config)
}

// Config of a pod that has loopback addresses of its own and lets services do what they want, and
// the file with it.
func Config(o Options) (config.Config, string, error) {
	c := config.Default()
	c.Cluster = "bench/" + o.Name
	c.Database.MaxConnections = 32
	c.Messaging.URL, c.Messaging.Replicas = o.NATSURL, 1
	c.HTTP.DrainDelay = config.Duration(time.Millisecond)
	// A stream that is measured is one stream.
	c.HTTP.MaxConnectionAge = 0
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = IssuerName, Audience, o.JWKSURL
	c.Auth.ServiceRequestsPerSecond, c.Auth.ServiceBurst = 1_000_000, 1_000_000
	folder := filepath.Join(o.Folder, o.Name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return c, "", err
	}
	for _, secret := range []struct {
		file        *string
		name, value string
	}{
		{&c.Database.URLFile, "database-url", o.DatabaseURL},
		{&c.Orders.IDKeyFile, "order-id-key", strings.Repeat("0123456789abcdef", 4)},
	} {
		if secret.value == "" {
			continue
		}
		*secret.file = filepath.Join(folder, secret.name)
		if err := os.WriteFile(*secret.file, []byte(secret.value), 0o600); err != nil {
			return c, "", err
		}
	}
	for _, address := range []*string{&c.HTTP.Address, &c.HTTP.AdminAddress, &c.HTTP.PeerAddress} {
		var err error
		if *address, err = testport.Address(); err != nil {
			return c, "", err
		}
	}
	if o.Change != nil {
		o.Change(&c)
	}
	raw, err := yaml.Marshal(c)
	if err != nil {
		return c, "", fmt.Errorf("configuration: %w", err)
	}
	path := filepath.Join(folder, "config.yaml")
	return c, path, os.WriteFile(path, raw, 0o600)
}
