package auth

import "context"

// ActorStaff is who histories name for changes by the shop's staff: followed by a blank and the
// subject where one is known.
const ActorStaff = "staff"

// StaffActor is who of the staff calls, for histories.
func StaffActor(ctx context.Context) string {
	if caller, ok := CallerFrom(ctx); ok {
		return ActorStaff + " " + caller.Subject
	}
	return ActorStaff
}
