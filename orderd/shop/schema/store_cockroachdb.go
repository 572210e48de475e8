package schema

// onCockroachDB are statements for what only CockroachDB has. Rows of these tables live for
// seconds, and every scan would otherwise pass over a day of deleted ones.
var onCockroachDB = []string{
	"ALTER TABLE outbox CONFIGURE ZONE USING gc.ttlseconds = 600",
	"ALTER TABLE leases CONFIGURE ZONE USING gc.ttlseconds = 600",
	"ALTER TABLE lease_workers CONFIGURE ZONE USING gc.ttlseconds = 600",
}
