package serve

import (
	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

// access checks callers' tokens and what they may do, by the configuration.
func (p *pod) access() (*auth.Verifier, *auth.Guard, error) {
	c := p.config.Auth
	verifier, err := auth.NewVerifier(auth.VerifierOptions{
		Issuer: c.Issuer, Audience: c.Audience, JWKSURL: c.JWKSURL,
		Clock: p.now, Logger: p.log, Registerer: p.registerer,
	})
	if err != nil {
		return nil, nil, err
	}
	guard, err := auth.NewGuard(auth.GuardOptions{
		Verifier: verifier, Clock: p.now, Registerer: p.registerer,
		Callers:  auth.Limits{PerSecond: c.RequestsPerSecond, Burst: c.Burst, InFlight: c.MaxInFlight},
		Services: auth.Limits{PerSecond: c.ServiceRequestsPerSecond, Burst: c.ServiceBurst},
	})
	return verifier, guard, err
}

// allReady is nil while every part is.
func allReady(parts ...func() error) func() error {
	return func() error {
		for _, ready := range parts {
			if err := ready(); err != nil {
				return err
			}
		}
		return nil
	}
}
