package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func TestLimits(t *testing.T) {
	type cfg = config.Config
	for _, tt := range []struct {
		// want names the setting that is wrong; empty: none is.
		name   string
		breaks func(*cfg)
		want   string
	}{
		{"as they are", func(*cfg) {}, ""},
		{"no limits of what is unpaid", func(c *cfg) { c.Orders.Limits = config.Limits{} }, ""},
		{"no time for a body", func(c *cfg) { c.HTTP.BodyTimeout = 0 }, "http.bodyTimeout"},
		{"fewer bodies than none", func(c *cfg) { c.HTTP.MaxBodies = -1 }, "http.maxBodies"},
		{"fewer connections than none", func(c *cfg) { c.HTTP.MaxConnections = -1 }, "http.maxConnections"},
		{"nothing in flight", func(c *cfg) { c.Auth.MaxInFlight = 0 }, "auth.maxInFlight"},
		{"fewer orders than none", func(c *cfg) { c.Orders.Limits.UnpaidOrders = -1 }, "orders.limits.unpaidOrders"},
		{"fewer units than none", func(c *cfg) { c.Orders.Limits.ReservedUnits = -1 }, "orders.limits.reservedUnits"},
		{"fewer orders of guests", func(c *cfg) {
			c.Orders.Limits.GuestUnpaidOrders = -1
		}, "orders.limits.guestUnpaidOrders"},
		{"fewer units of guests", func(c *cfg) {
			c.Orders.Limits.GuestReservedUnits = -1
		}, "orders.limits.guestReservedUnits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := complete()
			tt.breaks(&c)
			err := c.Validate(config.RoleStandard)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate: %v, want one that names %q", err, tt.want)
			}
		})
	}
}

func TestLimitsOfGuestsAreLower(t *testing.T) {
	got, err := config.Load(write(t, "http: {bodyTimeout: 1s}\norders: {limits: {reservedUnits: 500}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Limits{UnpaidOrders: 20, ReservedUnits: 500, GuestUnpaidOrders: 5, GuestReservedUnits: 20}
	if diff := cmp.Diff(want, got.Orders.Limits); diff != "" || got.HTTP.BodyTimeout != config.Duration(time.Second) {
		t.Errorf("time for a body %v, limits (-want +got):\n%s", got.HTTP.BodyTimeout, diff)
	}
}
