package auth

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type verifierMetrics struct {
	verified, remembered, failures prometheus.Counter
}

func newVerifierMetrics(reg prometheus.Registerer, k *keys, now func() time.Time) (*verifierMetrics, error) {
	const verifications = "orderd_auth_verifications_total"
	const help = "Valid tokens, by how that was known: signature checked, or remembered."
	m := &verifierMetrics{
		verified: prometheus.NewCounter(
			prometheus.CounterOpts{Name: verifications, Help: help, ConstLabels: prometheus.Labels{"by": "signature"}},
		),
		remembered: prometheus.NewCounter(
			prometheus.CounterOpts{Name: verifications, Help: help, ConstLabels: prometheus.Labels{"by": "memory"}},
		),
		failures: prometheus.NewCounter(
			prometheus.CounterOpts{Name: "orderd_auth_jwks_failures_total", Help: "Reads of the issuer's JWKS that failed."},
		),
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_auth_jwks_age_seconds", Help: "Time since the issuer's JWKS was last read; -1 if it never was.",
	}, func() float64 {
		at := k.readAt.Load()
		if at == 0 {
			return -1
		}
		return now().Sub(time.Unix(0, at)).Seconds()
	})
	return m, metric.Register(reg, "auth", m.verified, m.remembered, m.failures, age)
}
