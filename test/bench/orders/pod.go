package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/test/testauth"
)

// startPod starts a pod of the standard role on the database; placeBatch is the most orders a transaction, 0: as configured
// by default.
func (b *bench) startPod(ctx context.Context, name, databaseURL string, placeBatch int) (*child, error) {
	c := config.Default()
	c.Cluster = "bench/" + name
	c.Database.MaxConnections = 32
	c.Messaging.URL = b.nats.ClientURL()
	c.HTTP.DrainDelay = config.Duration(time.Millisecond)
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = testauth.IssuerName, testauth.Audience, b.jwks
	c.Auth.ServiceRequestsPerSecond, c.Auth.ServiceBurst = 1_000_000, 1_000_000
	if placeBatch > 0 {
		c.Orders.PlaceBatch = placeBatch
	}
	for file, secret := range map[*string]string{
		&c.Database.URLFile: databaseURL, &c.Orders.IDKeyFile: strings.Repeat("0123456789abcdef", 4),
	} {
		f, err := os.CreateTemp(b.folder, name)
		if err != nil {
			return nil, err
		}
		if _, err := f.WriteString(secret); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		*file = f.Name()
	}
	for _, address := range []*string{&c.HTTP.Address, &c.HTTP.AdminAddress} {
		var err error
		if *address, err = freeAddress(ctx); err != nil {
			return nil, err
		}
	}
	raw, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	path := b.path(name + ".yaml")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	return startPod(ctx, path, c.HTTP.Address, c.HTTP.AdminAddress)
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
