package ordercluster

import (
	"testing"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/specs"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func TestSettingsThatNoPodWouldStartWith(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"as the operator renders them": {func(*config.Config) {}, ""},
		"for one role": {
			func(c *config.Config) { c.Worker.MaterializePerSecond = 0 }, "worker.materializePerSecond: must be positive",
		},
		"for all roles, said once": {
			func(c *config.Config) { c.Messaging.Replicas = 2 }, "messaging.replicas: must be 1, 3 or 5",
		},
		"two of them": {
			func(c *config.Config) { c.Orders.QuoteTTL, c.Push = 0, config.Push{URL: "https://x.example"} },
			"orders.quoteTTL: must be positive; push.secretFile: must be set",
		},
		"a payment provider's": {
			func(c *config.Config) {
				c.Payments = []config.Payment{
					{Provider: "sandbox"}, {Provider: "stripe", Settings: map[string]string{"publishablekey": "pk_1"}},
				}
			},
			"payments[1].settings.publishableKey: must be set; " +
				"payments[1].settings.publishablekey: no such setting: stripe has publishableKey, currencies, baseURL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := specs.Settings(cluster())
			tt.change(&c)
			if got := invalidConfig(c); got != tt.want {
				t.Errorf("invalidConfig() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAMissingSecretHasOneEvent(t *testing.T) {
	s := testScope(cluster())
	s.miss("database", "")
	s.miss("sandbox", "key")
	s.miss("sandbox", "key")
	s.report.False(v1alpha1.ConditionDatabaseReady, v1alpha1.ReasonSecretNotFound, "Secret database does not exist")
	found := s.gate()
	if len(found) != 2 {
		t.Fatalf("gate() = %v, want two", found)
	}
	if found[0].Action != "" {
		t.Errorf("what DatabaseReady has told is told again: %v", found[0])
	}
	if found[1].Action == "" || found[1].Text != "Secret sandbox has no key key, or it is empty" {
		t.Errorf("gate() = %v", found[1])
	}
}
