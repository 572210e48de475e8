// Package auth decides who may call what, before a request's body is decoded.
//
// # Tokens
//
// A caller sends `Authorization: Bearer <token>`. The token is a JSON Web Token of the issuer that
// the OrderCluster names in spec.auth, signed with RS256, ES256 or EdDSA by a key of its JWKS. A
// caller gets it from that issuer as from any other: an app after its buyer signed in (or for a
// guest), a service or a member of staff by what the issuer offers them. orderd reads these claims:
//
//	iss    the issuer, exactly as configured
//	aud    the audience, or a list that has it
//	exp    required; 30 seconds of leeway, as for nbf
//	sub    who it is, 1 to 256 bytes: for a buyer the buyer_id, which is 64 at most
//	roles  a list of those below; others are ignored
//	guest  true for a buyer who has not signed in; a guest has no role but buyer
//
// The header needs a kid, so that keys can be rotated: a key that is not known is looked for in the
// JWKS, which is also read again every few minutes. While the issuer is away the known keys go on.
//
// # Roles
//
// A role is a job, and a token is given those of its holder's work, so that a stolen one does no more
// than that:
//
//	buyers    buyer
//	staff     support, fulfilment, returns, finance, catalog, marketing, operations
//	services  checkout, which acts for buyers; admission, which admits buyers to sales;
//	          catalog-sync, a PIM or an ERP; fulfilment-sync, a WMS; invoice-sync, a tax system
//
// Each RPC names its roles in the option orderd.access.v1.access; one that names none can be called
// by nobody. A caller that only its buyer role lets in reaches only its own: buyer_id is filled
// with the subject, and another's is refused. Staff and checkout reach every buyer's and name the
// buyer. What anybody changes who is no buyer acting for themselves is audited; the package audit
// tells where.
//
// # Errors
//
//	UNAUTHENTICATED/TOKEN_MISSING       no Authorization header
//	UNAUTHENTICATED/TOKEN_INVALID       not a token that the issuer made for us
//	UNAUTHENTICATED/TOKEN_EXPIRED       get a new one and try again
//	UNAVAILABLE/KEYS_UNAVAILABLE        the token's key cannot be looked up now; with a retry delay
//	PERMISSION_DENIED/ROLE_MISSING      metadata roles: those of which one is needed
//	PERMISSION_DENIED/OTHER_BUYER       metadata field: buyer_id
//	RESOURCE_EXHAUSTED/RATE_LIMITED     this caller asks too much of this pod; with a retry delay
//	                                    metadata limit: inFlight if it has too much under way at once
package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
)

// Caller is who a verified token speaks for.
type Caller struct {
	// Subject is the token's; for a buyer it is the buyer_id.
	Subject string
	Roles   Roles
	// Guest is a buyer who has not signed in.
	Guest bool
	// Expires is when the token is not taken any more: its expiry with the leeway. Zero in tests
	// that make a caller without one.
	Expires time.Time
	// Acting are the roles that let the caller into the RPC being served; empty outside of one.
	Acting Roles
	// Personal says that the RPC being served answers personal data of buyers.
	Personal bool
}

// AsBuyer tells whether only the buyer role lets the caller into the RPC being served: they act for
// themselves, and know what buyers know.
func (c Caller) AsBuyer() bool { return c.Acting == RolesOf(accessv1.Role_ROLE_BUYER) }

type callerKey struct{}

// WithCaller returns a context of a call by c. The interceptors make it; tests of handlers may, too.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom tells who calls, and whether it is known: nobody is in an RPC that needs no token.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Roles is a set of orderd.access.v1.Role.
type Roles uint32

// StaffRoles are those of people who look after the shop.
const StaffRoles = Roles(1<<accessv1.Role_ROLE_SUPPORT | 1<<accessv1.Role_ROLE_FULFILMENT |
	1<<accessv1.Role_ROLE_RETURNS | 1<<accessv1.Role_ROLE_FINANCE | 1<<accessv1.Role_ROLE_CATALOG |
	1<<accessv1.Role_ROLE_MARKETING | 1<<accessv1.Role_ROLE_OPERATIONS)

// ServiceRoles are those of the shop's own services, which ask for more than a person does.
const ServiceRoles = Roles(1<<accessv1.Role_ROLE_CHECKOUT | 1<<accessv1.Role_ROLE_ADMISSION |
	1<<accessv1.Role_ROLE_CATALOG_SYNC | 1<<accessv1.Role_ROLE_FULFILMENT_SYNC | 1<<accessv1.Role_ROLE_INVOICE_SYNC)

// knowBuyers are the staff roles that need to know who a buyer is and where they live: to talk to them, and to send
// them parcels.
const knowBuyers = Roles(1<<accessv1.Role_ROLE_SUPPORT | 1<<accessv1.Role_ROLE_FULFILMENT |
	1<<accessv1.Role_ROLE_RETURNS)

// KnowsBuyers tells whether whoever calls as a member of the staff may see buyers' names, addresses and words. Nobody
// is a caller in a process of our own.
func KnowsBuyers(ctx context.Context) bool {
	c, ok := CallerFrom(ctx)
	return !ok || c.Acting&knowBuyers != 0
}

// RolesOf makes a set.
func RolesOf(roles ...accessv1.Role) Roles {
	var set Roles
	for _, r := range roles {
		if r != accessv1.Role_ROLE_UNSPECIFIED {
			set |= 1 << r
		}
	}
	return set
}

// Has tells whether r is in the set.
func (s Roles) Has(r accessv1.Role) bool { return s&RolesOf(r) != 0 }

// Names of the set's roles as tokens write them, such as catalog-sync, in the order of the enum.
func (s Roles) Names() []string {
	var names []string
	for value, name := range accessv1.Role_name {
		if s.Has(accessv1.Role(value)) {
			names = append(names, roleName(name))
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(roleNamed(a)) - int(roleNamed(b)) })
	return names
}

// String is the names, joined by commas.
func (s Roles) String() string { return strings.Join(s.Names(), ",") }

const rolePrefix = "ROLE_"

func roleName(enum string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(enum, rolePrefix)), "_", "-")
}

// roleNamed is ROLE_UNSPECIFIED for a name that is no role.
func roleNamed(name string) accessv1.Role {
	enum := rolePrefix + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	if name != roleName(enum) {
		return accessv1.Role_ROLE_UNSPECIFIED
	}
	return accessv1.Role(accessv1.Role_value[enum])
}
