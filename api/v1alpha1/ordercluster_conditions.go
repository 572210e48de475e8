package v1alpha1

// Conditions of an OrderCluster.
const (
	// ConditionReady of an OrderCluster: database and messaging answer, the database is migrated, and every pool has the
	// pods it should have, on the present image and settings. Of a PromotionEvent: see promotionevent_conditions.go.
	ConditionReady = "Ready"
	// ConditionDatabaseReady: the operator can log in to the database with the URL of the Secret.
	ConditionDatabaseReady = "DatabaseReady"
	// ConditionMessagingReady: the operator can connect to NATS and JetStream answers.
	ConditionMessagingReady = "MessagingReady"
	// ConditionMigrated: the database has the schema of spec.image.
	ConditionMigrated = "Migrated"
	// ConditionProgressing: something is being rolled out. False once the platform is as its spec says.
	ConditionProgressing = "Progressing"
)

// Reasons of an OrderCluster's conditions.
const (
	// ReasonAllReady of Ready.
	ReasonAllReady = "AllReady"
	// ReasonPoolsNotReady of Ready: pods are missing or run an earlier image.
	ReasonPoolsNotReady = "PoolsNotReady"
	// ReasonPaused of Progressing: spec.paused holds the operator back.
	ReasonPaused = "Paused"
	// ReasonDeleting of Ready: the OrderCluster waits for its promotions to settle.
	ReasonDeleting = "Deleting"

	// ReasonConnected of DatabaseReady and MessagingReady.
	ReasonConnected = "Connected"
	// ReasonSecretNotFound of DatabaseReady and MessagingReady: the Secret does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretKeyMissing of DatabaseReady and MessagingReady: the Secret has no such key, or it is empty.
	ReasonSecretKeyMissing = "SecretKeyMissing"
	// ReasonInvalidURL of DatabaseReady: the Secret's value is not a postgres:// URL.
	ReasonInvalidURL = "InvalidURL"
	// ReasonInvalidCredentials of MessagingReady: the Secret's value is not a NATS .creds file.
	ReasonInvalidCredentials = "InvalidCredentials"
	// ReasonAccessDenied of DatabaseReady and MessagingReady: the server refused user, password or database.
	ReasonAccessDenied = "AccessDenied"
	// ReasonUnreachable of DatabaseReady and MessagingReady: no answer from the server.
	ReasonUnreachable = "Unreachable"
	// ReasonJetStreamUnavailable of MessagingReady: NATS answers, JetStream does not.
	ReasonJetStreamUnavailable = "JetStreamUnavailable"

	// ReasonMigrated of Migrated.
	ReasonMigrated = "Migrated"
	// ReasonMigrationRunning of Migrated: the Job has not finished.
	ReasonMigrationRunning = "MigrationRunning"
	// ReasonMigrationFailed of Migrated: the Job failed; another attempt follows.
	ReasonMigrationFailed = "MigrationFailed"
	// ReasonWaitingForDatabase of Migrated: the migration starts once the database answers.
	ReasonWaitingForDatabase = "WaitingForDatabase"

	// ReasonMigrating of Progressing.
	ReasonMigrating = "Migrating"
	// ReasonRollingOut of Progressing.
	ReasonRollingOut = "RollingOut"
	// ReasonWaiting of Progressing: nothing can be done until the other conditions' problems are solved.
	ReasonWaiting = "Waiting"
	// ReasonComplete of Progressing.
	ReasonComplete = "Complete"
)
