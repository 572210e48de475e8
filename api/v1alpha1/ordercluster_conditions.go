package v1alpha1

// Conditions of an OrderCluster, besides ConditionReconciling and ConditionStalled, which both resources have.
const (
	// ConditionReady of an OrderCluster: database and messaging answer, the database is migrated, the API server has taken
	// all objects, and every pool has the pods it should have, on the present image and settings. Of a PromotionEvent: see
	// promotionevent_conditions.go.
	ConditionReady = "Ready"
	// ConditionDatabaseReady: the operator can log in to the database with the URL of the Secret.
	ConditionDatabaseReady = "DatabaseReady"
	// ConditionMessagingReady: the operator can connect to NATS and JetStream answers.
	ConditionMessagingReady = "MessagingReady"
	// ConditionMigrated: the database has the schema of spec.image.
	ConditionMigrated = "Migrated"
	// ConditionApplied: the API server has taken every object of the present spec. False: it refused some, or something
	// has to be there first; what runs is what was applied before.
	ConditionApplied = "Applied"
	// ConditionSecure: everything that the platform connects to is reached by TLS that is verified, and JetStream keeps
	// more than one copy. It does not count for Ready.
	ConditionSecure = "Secure"
	// ConditionClockInSync: the operator's own clock is within spec.flash.maxClockSkew of JetStream's. Sales are prepared,
	// started and ended by JetStream's, so it does not count for Ready; but whatever else goes by the node's clock may be
	// wrong.
	ConditionClockInSync = "ClockInSync"
	// ConditionProgressing: something is being rolled out. False once the platform is as its spec says.
	ConditionProgressing = "Progressing"
)

// Reasons of an OrderCluster's conditions.
const (
	// ReasonAllReady of Ready.
	ReasonAllReady = "AllReady"
	// ReasonPoolsNotReady of Ready: pods are missing or run an earlier image.
	ReasonPoolsNotReady = "PoolsNotReady"
	// ReasonPaused of Progressing and Reconciling: spec.paused holds the operator back. Of Ready, Applied and Migrated:
	// and something would be changed otherwise. Of a PromotionEvent's Ready: spec.paused refuses orders of a sale that
	// has begun.
	ReasonPaused = "Paused"
	// ReasonDeleting of Ready: the OrderCluster waits for its promotions to settle; a settled PromotionEvent for its log
	// to have been kept long enough.
	ReasonDeleting = "Deleting"

	// ReasonApplied of Applied.
	ReasonApplied = "Applied"
	// ReasonApplyRefused of Applied and Migrated, and of Ready and Stalled: the API server, a quota or an admission policy
	// refused an object; the message has its words.
	ReasonApplyRefused = "ApplyRefused"
	// ReasonApplyFailed of every condition that the API server was asked for: it did not answer as it should; it is tried
	// again.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonNameTaken of Applied and Stalled: an object of that name is there, and is not this OrderCluster's. It is left
	// as it is.
	ReasonNameTaken = "NameTaken"
	// ReasonConfigInvalid of Applied, Migrated and Stalled: pods would not start with these settings, so none is touched.
	ReasonConfigInvalid = "ConfigInvalid"
	// ReasonRollWaitsForSale of Applied, Progressing and Ready: the flash pool's pods are replaced once no sale is live or
	// about to be.
	ReasonRollWaitsForSale = "RollWaitsForSale"
	// ReasonRollWaitsForTurn of Applied, Progressing and Ready: the operator was upgraded, and replaces the pods of one
	// OrderCluster after the other. What runs is as the spec has it.
	ReasonRollWaitsForTurn = "RollWaitsForTurn"
	// ReasonWaitingForMigration of Applied: the pools are rolled out once the database is migrated for them.
	ReasonWaitingForMigration = "WaitingForMigration"

	// ReasonImagePullBackOff of Ready, Migrated and Stalled: a pod's image cannot be pulled. Other reasons that Kubernetes
	// gives for a container that waits are told as they are: InvalidImageName, CreateContainerConfigError, ….
	ReasonImagePullBackOff = "ImagePullBackOff"
	// ReasonCrashLoopBackOff of Ready, Migrated and Stalled: a pod's container ends again and again.
	ReasonCrashLoopBackOff = "CrashLoopBackOff"
	// ReasonUnschedulable of Ready and Migrated: no node takes a pod. Stalled once the Deployment gives up on it.
	ReasonUnschedulable = "Unschedulable"
	// ReasonFailedCreate of Ready, Migrated and Stalled: a quota or an admission policy refuses the pods themselves.
	ReasonFailedCreate = "FailedCreate"
	// ReasonProgressDeadlineExceeded of Ready and Stalled: pods did not become available for so long that the Deployment
	// counts its roll as failed.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// ReasonContainerWaiting of Ready, Migrated and Stalled: a container does not start, for a reason that has no name.
	ReasonContainerWaiting = "ContainerWaiting"

	// ReasonConnected of DatabaseReady and MessagingReady.
	ReasonConnected = "Connected"
	// ReasonSecretNotFound of DatabaseReady, MessagingReady and Applied: the Secret does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretKeyMissing of DatabaseReady, MessagingReady and Applied: the Secret has no such key, or it is empty.
	ReasonSecretKeyMissing = "SecretKeyMissing"
	// ReasonInvalidURL of DatabaseReady: the Secret's value is not a postgres:// URL.
	ReasonInvalidURL = "InvalidURL"
	// ReasonInvalidCredentials of MessagingReady: the Secret's value is neither a NATS .creds file nor the
	// seed of a user's nkey.
	ReasonInvalidCredentials = "InvalidCredentials"
	// ReasonConfigMapNotFound of DatabaseReady, MessagingReady and Applied: the ConfigMap of spec.trust does not exist.
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonConfigMapKeyMissing of DatabaseReady, MessagingReady and Applied: it has no such key, or it is empty.
	ReasonConfigMapKeyMissing = "ConfigMapKeyMissing"
	// ReasonInvalidCertificate of DatabaseReady and MessagingReady: a Secret or spec.trust holds no certificate, or one
	// that does not belong to its key.
	ReasonInvalidCertificate = "InvalidCertificate"
	// ReasonInsecure of DatabaseReady: the URL's sslmode is not verify-full, and spec.database.insecure is not set. Of
	// Secure: something is in clear text or not verified, has one copy, or a stream was set by hand so that it does not
	// hold what orderd promises; the message says what.
	ReasonInsecure = "Insecure"
	// ReasonSecure of Secure.
	ReasonSecure = "Secure"
	// ReasonAccessDenied of DatabaseReady and MessagingReady: the server refused user, password or database.
	ReasonAccessDenied = "AccessDenied"
	// ReasonUnreachable of DatabaseReady and MessagingReady: no answer from the server.
	ReasonUnreachable = "Unreachable"
	// ReasonJetStreamUnavailable of MessagingReady: NATS answers, JetStream does not.
	ReasonJetStreamUnavailable = "JetStreamUnavailable"
	// ReasonAccountInUse of MessagingReady: the NATS account is stamped as another OrderCluster's, and left as it is. The
	// message says whose, and how to take it over.
	ReasonAccountInUse = "AccountInUse"

	// ReasonInSync of ClockInSync.
	ReasonInSync = "InSync"
	// ReasonClockSkewed of ClockInSync: the clock of the operator's node, or of the NATS servers, is wrong; the message
	// says by how much they differ.
	ReasonClockSkewed = "ClockSkewed"

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

// AnnotationTakeAccount of an OrderCluster has the UID of another one that is gone for good, and whose NATS account
// this one takes over with all that is in it; see ReasonAccountInUse.
const AnnotationTakeAccount = "orderd.dev/take-nats-account-of"
