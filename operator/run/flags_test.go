package run

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"
)

// parse is what the operator runs with, given these arguments.
func parse(arguments string) (Options, error) {
	var o Options
	c := &cobra.Command{RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
	c.SetOut(io.Discard)
	o.Flags(c)
	c.SetArgs(strings.Fields(arguments))
	if err := c.Execute(); err != nil {
		return o, err
	}
	o = o.withDefaults()
	return o, o.validate()
}

func TestFlags(t *testing.T) {
	usual := Options{
		MetricsAddress: ":8080", HealthAddress: ":8081", LeaderElection: true, LeaderElectionID: "orderd-operator",
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
	}
	with := func(change func(*Options)) Options {
		o := usual
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		arguments string
		want      Options
	}{
		"none": {"", usual},
		"namespaces": {"--watch-namespaces=shop,staging", with(func(o *Options) {
			o.Watched = []string{"shop", "staging"}
		})},
		"all namespaces": {"--watch-namespaces=", with(func(o *Options) { o.Watched = []string{} })},
		"a release's Lease": {"--leader-election-id=eu-operator --namespace=orderd-system", with(func(o *Options) {
			o.LeaderElectionID, o.Namespace = "eu-operator", "orderd-system"
		})},
		"an external scaler": {"--scaler-address=:9090 --scaler-certificate-dir=/tls", with(func(o *Options) {
			o.ScalerAddress, o.ScalerCertificateDir = ":9090", "/tls"
		})},
		"a short Lease": {
			"--leader-election-lease-duration=6s --leader-election-renew-deadline=4s --leader-election-retry-period=1s",
			with(func(o *Options) {
				o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = 6*time.Second, 4*time.Second, time.Second
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.arguments)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(Options{}, "Clock", "AfterStep"),
				cmpopts.IgnoreUnexported(Options{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ arguments, want string }{
		"an empty namespace": {"--watch-namespaces=shop,,staging", "--watch-namespaces has an empty name between its commas"},
		"a certificate for nothing": {
			"--scaler-certificate-dir=/tls", "--scaler-certificate-dir is set without --scaler-address",
		},
		"no lease":          {"--leader-election-lease-duration=-1s", "--leader-election-lease-duration is -1s: "},
		"parts of a second": {"--leader-election-lease-duration=15500ms", "--leader-election-lease-duration is 15.5s: "},
		"a deadline that is not shorter than the lease": {"--leader-election-renew-deadline=15s",
			"--leader-election-renew-deadline is 15s: it has to be shorter than --leader-election-lease-duration, which is 15s"},
		"a negative retry": {"--leader-election-retry-period=-1s", "--leader-election-retry-period is -1s: "},
		"a retry that is not shorter than the deadline": {"--leader-election-retry-period=9s",
			"--leader-election-retry-period is 9s: 1.2 times as long has to be shorter than " +
				"--leader-election-renew-deadline, which is 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(test.arguments); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s…", err, test.want)
			}
		})
	}
	if _, err := parse("--leader-elect=false --leader-election-renew-deadline=1h"); err != nil {
		t.Errorf("without an election: %v", err)
	}
}
