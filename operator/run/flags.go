package run

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// DefaultLeaderElectionID names the Lease if nobody else does.
const DefaultLeaderElectionID = "orderd-operator"

// The Lease's times unless they are given. A leader survives that the API server is away for ten seconds; after it was
// killed, a quarter of a minute passes until another one works.
const (
	defaultLeaseDuration = 15 * time.Second
	defaultRenewDeadline = 10 * time.Second
	defaultRetryPeriod   = 2 * time.Second
)

// The flags that an error can be about.
const (
	watchFlag    = "watch-namespaces"
	leaseFlag    = "leader-election-lease-duration"
	deadlineFlag = "leader-election-renew-deadline"
	retryFlag    = "leader-election-retry-period"

	scalerCertificateFlag = "scaler-certificate-dir"
)

// Flags has the command take these options from its arguments.
func (o *Options) Flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.MetricsAddress, "metrics-address", ":8080", "host:port of /metrics; 0 for none")
	f.BoolVar(&o.MetricsSecure, "metrics-secure", false,
		"serve /metrics over TLS, with a certificate that the operator makes, and only to those who may get it")
	f.StringVar(&o.HealthAddress, "health-address", ":8081", "host:port of /healthz and /readyz; 0 for none")
	f.StringVar(&o.ScalerAddress, "scaler-address", "",
		"host:port of KEDA's external scaler, which tells when sales are on; empty or 0 for none")
	f.StringVar(&o.ScalerCertificateDir, scalerCertificateFlag, "",
		"the folder of tls.crt and tls.key that the external scaler shows; none: it speaks in clear text")
	f.BoolVar(&o.LeaderElection, "leader-elect", true, "let one of several operators work")
	f.StringVar(&o.Namespace, "namespace", "", "the namespace of the leader's Lease; empty: the pod's own")
	f.StringVar(&o.LeaderElectionID, "leader-election-id", DefaultLeaderElectionID, "the name of the leader's Lease")
	f.DurationVar(&o.LeaseDuration, leaseFlag, defaultLeaseDuration,
		"how long the others wait for a leader that does not renew its Lease; whole seconds")
	f.DurationVar(&o.RenewDeadline, deadlineFlag, defaultRenewDeadline,
		"how long a leader tries to renew its Lease before it ends itself")
	f.DurationVar(&o.RetryPeriod, retryFlag, defaultRetryPeriod, "how often the Lease is renewed or tried for")
	f.StringSliceVar(&o.Watched, watchFlag, nil,
		"the only namespaces to work in, and to need rights in, separated by commas; none: all")
}

func (o Options) withDefaults() Options {
	if o.LeaderElectionID == "" {
		o.LeaderElectionID = DefaultLeaderElectionID
	}
	for _, t := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&o.LeaseDuration, defaultLeaseDuration},
		{&o.RenewDeadline, defaultRenewDeadline},
		{&o.RetryPeriod, defaultRetryPeriod},
	} {
		if *t.value == 0 {
			*t.value = t.or
		}
	}
	return o
}

// validate names the flag that has to change.
func (o Options) validate() error {
	if slices.Contains(o.Watched, "") {
		// To a cache the empty name means all namespaces.
		return fmt.Errorf("--%s has an empty name between its commas", watchFlag)
	}
	if o.ScalerCertificateDir != "" && (o.ScalerAddress == "" || o.ScalerAddress == "0") {
		return fmt.Errorf("--%s is set without --scaler-address: nothing would show the certificate", scalerCertificateFlag)
	}
	switch {
	case !o.LeaderElection:
		return nil
	case o.LeaseDuration < time.Second || o.LeaseDuration%time.Second != 0:
		// A Lease counts in seconds.
		return fmt.Errorf("--%s is %s: it has to be whole seconds, one at least", leaseFlag, o.LeaseDuration)
	case o.RenewDeadline >= o.LeaseDuration:
		// Another would lead while this one still tries.
		return fmt.Errorf("--%s is %s: it has to be shorter than --%s, which is %s",
			deadlineFlag, o.RenewDeadline, leaseFlag, o.LeaseDuration)
	case o.RetryPeriod <= 0:
		return fmt.Errorf("--%s is %s: it has to be longer than 0", retryFlag, o.RetryPeriod)
	case o.RetryPeriod*12 >= o.RenewDeadline*10:
		// The library waits up to a fifth longer than it was told.
		return fmt.Errorf("--%s is %s: 1.2 times as long has to be shorter than --%s, which is %s",
			retryFlag, o.RetryPeriod, deadlineFlag, o.RenewDeadline)
	}
	return nil
}
