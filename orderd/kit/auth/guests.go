package auth

import "context"

// Guests verifies the token that a guest's cart is claimed with, for who needs no more of
// it than whose it is.
type Guests struct{ Verifier *Verifier }

// Verify returns the token's subject and whether that is a guest. Errors are as Verifier.Verify's.
func (g Guests) Verify(ctx context.Context, token string) (subject string, guest bool, err error) {
	c, err := g.Verifier.Verify(ctx, token)
	return c.Subject, c.Guest, err
}
