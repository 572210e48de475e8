package bulk

import (
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

const kindPrefix = "JOB_KIND_"

// The columns that kinds know.
const (
	columnOrder    = "order"
	columnTracking = "tracking_number"
	columnCarrier  = "carrier"
	columnAdd      = "add"
	columnRemove   = "remove"
	columnText     = "text"
	columnSKU      = "sku"
	columnDelta    = "delta"
)

// aliases are other names of columns: of those that a file has the first one counts, and the others are columns that
// the kind does not know.
var aliases = map[string][]string{
	columnOrder:    {"order_number", "number", "order_id"},
	columnTracking: {"tracking"},
	columnText:     {"note"},
}

// kind is what a job does with each row.
type kind struct {
	// name as it is stored; JOB_KIND_ before it makes its name in the API.
	name string
	// roles of which a caller needs one: those that may do the same by hand.
	roles auth.Roles
	// needed columns have to be there, and of oneOf, if there are any, one; others may be.
	needed, oneOf, others []string
	// plan reads a row and says what to do: errors are INVALID_ARGUMENT/ROW_INVALID.
	plan func(values) (effect, error)
	// explain is what a caller sees of an error of the effect's.
	explain func(error) error
}

// kinds are all there are.
var kinds = []*kind{
	{
		name:   "SHIP",
		roles:  auth.RolesOf(accessv1.Role_ROLE_FULFILMENT, accessv1.Role_ROLE_FULFILMENT_SYNC),
		needed: []string{columnOrder, columnTracking}, others: []string{columnCarrier},
		plan: planShip, explain: shipment.RPCError,
	},
	{
		name: "CLOSE", roles: auth.RolesOf(accessv1.Role_ROLE_SUPPORT),
		needed: []string{columnOrder}, plan: planClose, explain: order.RPCError,
	},
	{
		name: "TAG", roles: deskRoles, needed: []string{columnOrder}, oneOf: []string{columnAdd, columnRemove},
		plan: planTag, explain: order.RPCError,
	},
	{
		name: "NOTE", roles: deskRoles, needed: []string{columnOrder, columnText}, plan: planNote, explain: order.RPCError,
	},
	{
		name: "STOCK", roles: auth.RolesOf(accessv1.Role_ROLE_CATALOG, accessv1.Role_ROLE_CATALOG_SYNC),
		needed: []string{columnSKU, columnDelta}, plan: planStock, explain: database.RPCError,
	},
}

// deskRoles may tag orders and add notes.
var deskRoles = auth.RolesOf(accessv1.Role_ROLE_SUPPORT, accessv1.Role_ROLE_FULFILMENT, accessv1.Role_ROLE_RETURNS,
	accessv1.Role_ROLE_FINANCE, accessv1.Role_ROLE_MARKETING)

// kindNamed is the kind of the name; nil if there is none.
func kindNamed(name string) *kind {
	if i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name }); i >= 0 {
		return kinds[i]
	}
	return nil
}

// allowed is the kind, if one of the roles may do it.
func allowed(acting auth.Roles, wanted bulkv1.JobKind) (*kind, error) {
	name := strings.TrimPrefix(wanted.String(), kindPrefix)
	k := kindNamed(name)
	if k == nil || acting&k.roles == 0 {
		return nil, rpcerr.New(connect.CodePermissionDenied, rpcerr.ReasonKindNotAllowed,
			"the caller's roles may not do jobs of this kind", "field", "kind", "kind", name)
	}
	return k, nil
}

// seen are the names of the kinds whose jobs the roles may see.
func seen(acting auth.Roles) []string {
	var names []string
	for _, k := range kinds {
		if acting&k.roles != 0 {
			names = append(names, k.name)
		}
	}
	return names
}

// columns finds the kind's columns in a header: their indexes by name. Errors are INVALID_ARGUMENT/FILE_INVALID.
func (k *kind) columns(header []string) (map[string]int, error) {
	at := map[string][]int{}
	for i, name := range header {
		name = columnName(name)
		at[name] = append(at[name], i)
	}
	found := map[string]int{}
	for _, name := range slices.Concat(k.needed, k.oneOf, k.others) {
		for _, alias := range append([]string{name}, aliases[name]...) {
			if len(at[alias]) > 1 {
				return nil, fileInvalid(1, problemColumnTwice, "there are two columns "+alias)
			}
			if len(at[alias]) == 1 {
				found[name] = at[alias][0]
				break
			}
		}
	}
	for _, name := range k.needed {
		if _, ok := found[name]; !ok {
			return nil, fileInvalid(1, problemColumnMissing, "there is no column "+name)
		}
	}
	if len(k.oneOf) > 0 && !slices.ContainsFunc(k.oneOf, func(name string) bool { _, ok := found[name]; return ok }) {
		return nil, fileInvalid(1, problemColumnMissing, "there is no column "+strings.Join(k.oneOf, " or "))
	}
	return found, nil
}

// columnName is a column's name as it is compared.
func columnName(cell string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return '_'
		}
		return r
	}, strings.ToLower(plain(cell)))
}
