// Package walls checks which package may import which: the floor plan of
// docs/architecture.md, as a test. Lint checks the same for each file's own imports; this
// looks through to what they import in turn.
package walls

// room is a part of the tree, and what it may import of this module beside itself. A name ends with
// "/..." if it stands for all that lies below it, as the go command has it.
type room struct {
	name   string
	may    []string
	except []string
}

const (
	kit   = "orderd/kit/..."
	flash = "orderd/flash/..."
	shop  = "orderd/shop/..."
	sale  = "orderd/sale/..."
	sim   = "orderd/sim/..."
	serve = "orderd/serve/..."
	api   = "api/..."
)

// withDatabase are the packages of kit that need a database.
var withDatabase = []string{
	"orderd/kit/audit/...", "orderd/kit/consume/...", "orderd/kit/database/...", "orderd/kit/idempotency/...",
	"orderd/kit/lease/...", "orderd/kit/outbox/...", "orderd/kit/retention/...",
}

// rooms are the walls. Each package of the module is in one room at most; those in none (hack,
// test, orderd's main) may import what keep and everybody allow them.
var rooms = []room{
	{name: api},
	{name: kit, may: []string{api}},
	{name: flash, may: []string{kit, api}, except: withDatabase},
	{name: shop, may: []string{kit, api, "orderd/flash/prepare/...", "orderd/flash/watch/...", "orderd/flash/client/..."}},
	{name: sale, may: []string{shop, flash, kit, api}},
	{name: sim, may: []string{kit, api}},
	{name: serve, may: []string{shop, flash, sale, kit, api}},
	{name: "operator/...", may: []string{sale, kit, api}},
}

// private are packages that only some may import. Tests may import all but what only tests may.
var private = []struct {
	name string
	by   []string
}{
	{name: serve, by: []string{"orderd", "hack/dev/...", "test/..."}},
	{name: "operator/...", by: []string{"test/..."}},
	{name: "test/...", by: nil},
}

// unreachable is what must not be reached through any number of imports. (database/sql/driver has
// only types, and google/uuid needs it for one of them.)
var unreachable = []struct {
	from string
	to   []string
}{
	{from: flash, to: []string{"database/sql", "github.com/jackc/pgx/..."}},
}

// folders are the rooms of orderd/.
var folders = []string{"flash", "kit", "sale", "serve", "shop", "sim"}
