package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	got, err := config.Load(write(t, `cluster: shop/shop
messaging: {url: 'nats://n:4222', replicas: 3}
orders: {paymentTimeout: 5m}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Cluster = "shop/shop"
	want.Messaging = config.Messaging{URL: "nats://n:4222", Replicas: 3}
	want.Orders.PaymentTimeout = config.Duration(5 * time.Minute)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{
		"broken YAML":      "cluster: [",
		"no duration":      "orders: {paymentTimeout: soon}",
		"a bare number":    "orders: {paymentTimeout: 5}",
		"a wrong type":     "http: {maxInFlight: many}",
		"a list of wishes": "- cluster",
	} {
		if _, err := config.Load(write(t, text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// complete has every setting that a role needs.
func complete() config.Config {
	c := config.Default()
	c.Messaging.URL = "nats://n:4222"
	c.Orders.IDKeyFile = "key"
	c.Database.URLFile = "url"
	c.Flash.PeerURL = "http://flash:8082"
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = "https://id.example", "shop", "https://id.example/jwks"
	return c
}

func TestValidate(t *testing.T) {
	type cfg = config.Config
	const standard, flash, worker = config.RoleStandard, config.RoleFlash, config.RoleWorker
	tests := []struct {
		name   string
		role   config.Role
		breaks func(*cfg)
		want   string
	}{
		{name: "flash needs no database", role: flash, breaks: func(c *cfg) { c.Database = config.Database{} }},
		{name: "no key to call other pods with", role: worker, breaks: func(c *cfg) {
			c.Orders.IDKeyFile = ""
		}, want: "orders.idKeyFile"},
		{name: "a certificate without its key", role: worker, breaks: func(c *cfg) {
			c.Database.CertificateFile = "tls.crt"
		}, want: "database.keyFile"},
		{name: "a key without its certificate", role: flash, breaks: func(c *cfg) {
			c.Messaging.KeyFile = "tls.key"
		}, want: "messaging.keyFile"},
		{name: "unknown role", role: "cashier", want: `role "cashier"`},
		{name: "no database", role: standard, breaks: func(c *cfg) {
			c.Database.URLFile = ""
		}, want: "database.urlFile"},
		{name: "no order id key", role: flash, breaks: func(c *cfg) {
			c.Orders.IDKeyFile = ""
		}, want: "orders.idKeyFile"},
		{name: "no messaging", role: flash, breaks: func(c *cfg) { c.Messaging.URL = "" }, want: "messaging.url"},
		{name: "two carriers of one name", role: standard, breaks: func(c *config.Config) {
			c.Carriers = []config.Carrier{{Name: "swift", URL: "u", SecretFile: "f"}, {Name: "swift", URL: "u", SecretFile: "f"}}
		}, want: "carriers[1].name"},
		{name: "a carrier without a key", role: worker, breaks: func(c *cfg) {
			c.Carriers = []config.Carrier{{Name: "swift", URL: "u"}}
		}, want: "carriers[0].secretFile"},
		{name: "a gateway without a key", role: worker, breaks: func(c *cfg) {
			c.Push.URL = "http://push"
		}, want: "push.secretFile"},
		{name: "quotes that never hold", role: standard, breaks: func(c *cfg) {
			c.Orders.QuoteTTL = 0
		}, want: "orders.quoteTTL"},
		{name: "two replicas", role: flash, breaks: func(c *cfg) {
			c.Messaging.Replicas = 2
		}, want: "messaging.replicas"},
		{name: "no flash pool", role: worker, breaks: func(c *cfg) { c.Flash.PeerURL = "" }, want: "flash.peerURL"},
		{name: "worker has no callers", role: worker, breaks: func(c *cfg) { c.Auth = config.Auth{} }},
		{name: "no issuer", role: standard, breaks: func(c *cfg) { c.Auth.Issuer = "" }, want: "auth.issuer"},
		{name: "no audience", role: flash, breaks: func(c *cfg) { c.Auth.Audience = "" }, want: "auth.audience"},
		{name: "no keys", role: flash, breaks: func(c *cfg) { c.Auth.JWKSURL = "" }, want: "auth.jwksURL"},
		{name: "no limit of a caller", role: standard, breaks: func(c *cfg) {
			c.Auth.RequestsPerSecond = 0
		}, want: "auth.requestsPerSecond"},
		{name: "a service's limit without a burst", role: standard, breaks: func(c *cfg) {
			c.Auth.ServiceRequestsPerSecond = 9
		}, want: "auth.serviceBurst"},
		{name: "no limit", role: standard, breaks: func(c *cfg) { c.HTTP.MaxInFlight = 0 }, want: "http.maxInFlight"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := complete()
			if tt.breaks != nil {
				tt.breaks(&c)
			}
			err := c.Validate(tt.role)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Validate: %v, want one that names %s", err, tt.want)
			}
		})
	}
}
