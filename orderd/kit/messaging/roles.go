package messaging

import "slices"

// Role is who connects to an OrderCluster's NATS account. Each may have credentials of its own, which
// may do no more than its permissions say; package permissions has them.
type Role string

const (
	// RoleFlash is the pods of the flash pool: they write promotions' logs.
	RoleFlash Role = "flash"
	// RoleWorker is the pods of the worker pool: they read the logs and publish the events.
	RoleWorker Role = "worker"
	// RoleStandard is the pods of the standard pool: they show dead letters and have them replayed.
	RoleStandard Role = "standard"
	// RoleOperator is orderd's operator: it makes streams and tells the pods of promotions.
	RoleOperator Role = "operator"
	// RoleReader is whoever else reads the events of orders: a data team, an app. Orderd itself has no
	// use for its credentials.
	RoleReader Role = "reader"
)

// Roles are all roles.
func Roles() []Role { return []Role{RoleFlash, RoleWorker, RoleStandard, RoleOperator, RoleReader} }

// Known tells whether there is such a role.
func (r Role) Known() bool { return slices.Contains(Roles(), r) }

// InboxPrefix begins the subjects at which a role gets its answers. With one for each, credentials of
// one role cannot listen to what another is answered.
func (r Role) InboxPrefix() string { return "_INBOX_" + string(r) }
