package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// full has no setting that is as by default.
func full() config.Config {
	c := complete()
	c.Cluster = "ns/shop"
	c.HTTP.AllowedOrigins, c.HTTP.DrainDelay = []string{"https://shop.example"}, config.Duration(time.Second)
	c.Orders.PaymentTimeout, c.Orders.CompleteAfter = config.Duration(time.Minute), config.Duration(time.Hour)
	c.Flash.MaxClockSkew = config.Duration(time.Second)
	c.Worker = config.Worker{MaterializePerSecond: 7, MaterializeConcurrency: 3}
	c.Payments = []config.Payment{{Provider: "sandbox", SecretFile: "f", PublicURL: "p", NotifyURL: "n"}}
	c.Carriers = []config.Carrier{{Name: "swift", URL: "u", SecretFile: "f"}}
	c.Push = config.Push{URL: "u", SecretFile: "f"}
	return c
}

func TestAPartHasWhatItsRoleNeeds(t *testing.T) {
	for _, role := range config.Roles() {
		if err := full().Of(role).Validate(role); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestAPartHasNothingThatAnotherRoleReads(t *testing.T) {
	tests := map[string]struct {
		change func(*config.Config)
		// reads are the roles whose part changes.
		reads []config.Role
	}{
		"a carrier":       {func(c *config.Config) { c.Carriers[0].URL = "x" }, []config.Role{"standard", "worker"}},
		"a payment":       {func(c *config.Config) { c.Payments[0].PublicURL = "x" }, []config.Role{"standard", "worker"}},
		"the gateway":     {func(c *config.Config) { c.Push.URL = "x" }, []config.Role{"worker"}},
		"materializing":   {func(c *config.Config) { c.Worker.MaterializePerSecond = 8 }, []config.Role{"worker"}},
		"payment timeout": {func(c *config.Config) { c.Orders.PaymentTimeout = 1 }, []config.Role{"standard"}},
		"completion":      {func(c *config.Config) { c.Orders.CompleteAfter = 1 }, []config.Role{"standard", "worker"}},
		"clock skew":      {func(c *config.Config) { c.Flash.MaxClockSkew = 1 }, []config.Role{"flash"}},
		"the issuer":      {func(c *config.Config) { c.Auth.Issuer = "x" }, []config.Role{"standard", "flash"}},
		"the database":    {func(c *config.Config) { c.Database.URLFile = "x" }, []config.Role{"standard", "worker"}},
		"an origin":       {func(c *config.Config) { c.HTTP.AllowedOrigins = nil }, []config.Role{"standard", "flash"}},
		"messaging":       {func(c *config.Config) { c.Messaging.URL = "x" }, config.Roles()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed := full()
			test.change(&changed)
			var reads []config.Role
			for _, role := range config.Roles() {
				if cmp.Diff(full().Of(role), changed.Of(role)) != "" {
					reads = append(reads, role)
				}
			}
			if diff := cmp.Diff(test.reads, reads); diff != "" {
				t.Errorf("roles that read it (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileHasWhatIsNotAsByDefault(t *testing.T) {
	for name, c := range map[string]config.Config{"nothing": config.Default(), "everything": full()} {
		raw, err := c.Overrides()
		if err != nil {
			t.Fatal(err)
		}
		got, err := config.Load(write(t, raw))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Errorf("%s, read again (-want +got):\n%s", name, diff)
		}
	}
	c := config.Default()
	c.Orders.PaymentTimeout = config.Duration(time.Minute)
	raw, err := c.Overrides()
	if err != nil {
		t.Fatal(err)
	}
	if want := "orders:\n  paymentTimeout: 1m0s\n"; raw != want {
		t.Errorf("one setting is written as\n%s, want\n%s", raw, want)
	}
}

// A file may be written for the version after this one, or before it.
func TestWhatIsNotKnownIsLeftOutAndSaid(t *testing.T) {
	path := write(t, "cluster: ns/shop\norders: {paymentTimeout: 5m, paymentTimeuot: 6m}\n")
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cluster != "ns/shop" || c.Orders.PaymentTimeout != config.Duration(5*time.Minute) {
		t.Errorf("what is known was read as %+v", c)
	}
	if err := config.Unknown(path); err == nil || !strings.Contains(err.Error(), "paymentTimeuot") {
		t.Errorf("Unknown() = %v, want the name of what is not known", err)
	}
	if err := config.Unknown(write(t, "cluster: ns/shop")); err != nil {
		t.Errorf("Unknown() = %v where all is known", err)
	}
}
