package shop

import (
	"context"

	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

// AsStaff makes the calls with this context come from a member of the staff with these roles.
func AsStaff(ctx context.Context, issuerURL string, roles ...string) (context.Context, error) {
	return As(ctx, issuerURL, "demo-staff", roles...)
}

// As makes the calls with this context come from a subject with these roles.
func As(ctx context.Context, issuerURL, subject string, roles ...string) (context.Context, error) {
	tokens, err := issuer.Ask(ctx, issuerURL, []issuer.Claim{{Subject: subject, Roles: roles}})
	if err != nil {
		return nil, err
	}
	return issuer.As(ctx, tokens[0]), nil
}
