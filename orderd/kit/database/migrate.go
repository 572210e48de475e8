package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// The lock of a migration that was killed goes after the lease.
	lockLease     = 15 * time.Second
	lockHeartbeat = 5 * time.Second
	lockInterval  = 500 * time.Millisecond
	// lockProbes are more than lockLimit has room for: the time-out decides, and names the step.
	lockProbes = 2 * uint64(lockLimit/lockInterval)
	// unlockProbes times the interval is less than stepLimit.
	unlockProbes = 20

	// fileLimit bounds one file. On CockroachDB each change of a table is a job that every node
	// follows.
	fileLimit = 5 * time.Minute
	// lockLimit bounds the wait for another migration, which is as long as its longest file.
	lockLimit = 5 * time.Minute
	// stepLimit bounds every other step, none of which has much to do.
	stepLimit = time.Minute
)

// MigrateOption changes how [Migrate] works.
type MigrateOption func(*migration)

// OnCockroachDB are statements for what only CockroachDB has, run after each
// migration. They only tune:
// one that the user may not run is left out with a warning. They have to be repeatable.
func OnCockroachDB(statements ...string) MigrateOption {
	return func(m *migration) { m.tuning = append(m.tuning, statements...) }
}

// MigrateWithTLS secures the connections, as [WithTLS] does for [Open].
func MigrateWithTLS(t TLS) MigrateOption { return func(m *migration) { m.tls = t } }

// WithStepLimit bounds every step of the migration by d, also those that may take longer otherwise.
func WithStepLimit(d time.Duration) MigrateOption {
	return func(m *migration) { m.mostPerStep = d }
}

// Migrate applies the files that are not applied yet, in the order of their numbers, each in a
// transaction of its own. The files are goose's, NUMBER_NAME.sql at the root of files, and must
// make a table settings (key, value), where Migrate puts the order id key if there is none.
//
// One Migrate works at a time, whoever else tries. It can be repeated, also after it was killed.
// Every step is bounded: a [StepTimeoutError] says which one took too long.
func Migrate(ctx context.Context, url string, files fs.FS, log *slog.Logger, opts ...MigrateOption) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errBadURL
	}
	config.ConnectTimeout = connectTimeout
	m := &migration{files: files, log: log}
	for _, opt := range opts {
		opt(m)
	}
	m.tls.apply(config)
	m.db = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(keepTransactions))
	defer func() { _ = m.db.Close() }()
	if err := m.run(ctx); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

// migration is one run of Migrate.
type migration struct {
	db          *sql.DB
	files       fs.FS
	log         *slog.Logger
	tuning      []string
	mostPerStep time.Duration
	tls         TLS

	cockroach bool
	provider  *goose.Provider
}

func (m *migration) run(ctx context.Context) error {
	var err error
	m.provider, err = goose.NewProvider(goose.DialectPostgres, m.db, m.files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(m.log))
	if err != nil {
		return fmt.Errorf("reading the files: %w", err)
	}
	err = m.step(ctx, "asking the database which one it is", stepLimit, func(ctx context.Context) (err error) {
		m.cockroach, err = isCockroachDB(ctx, m.db)
		return err
	})
	if err != nil {
		return err
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = m.step(ctx, "making the version table", stepLimit, func(ctx context.Context) error {
		return makeVersionTable(ctx, m.db, m.cockroach)
	})
	if err != nil {
		return err
	}
	if err := m.applyPending(ctx); err != nil {
		return err
	}
	if err := m.tune(ctx); err != nil {
		return err
	}
	return m.step(ctx, "making the order id key", stepLimit, func(ctx context.Context) error {
		return createOrderIDKey(ctx, m.db)
	})
}

// lock waits until no other migration works. What it returns gives the lock back.
func (m *migration) lock(ctx context.Context) (unlock func(), err error) {
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableLeaseDuration(lockLease), lock.WithTableHeartbeatInterval(lockHeartbeat),
		lock.WithTableLockTimeout(lockInterval, lockProbes), lock.WithTableUnlockTimeout(lockInterval, unlockProbes),
		lock.WithTableLogger(m.log))
	if err != nil {
		return nil, fmt.Errorf("the migrations' lock: %w", err)
	}
	// The locker renews its lease until the context ends that Lock was given, so that
	// one outlives the step.
	renewing, endRenewal := context.WithCancel(ctx)
	err = m.bounded(ctx, "waiting for the migrations' lock", lockLimit, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, endRenewal)
		if err := locker.Lock(renewing, m.db); err != nil {
			return err
		}
		if !stop() {
			// The lock came too late. It goes with its lease, which nobody renews.
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		endRenewal()
		return nil, err
	}
	return func() {
		defer endRenewal()
		m.unlock(context.WithoutCancel(ctx), locker)
	}, nil
}

// unlock does not wait for an answer for longer than a step may take, as the locker by itself
// would. What was migrated stays so if it fails.
func (m *migration) unlock(ctx context.Context, locker lock.Locker) {
	err := m.bounded(ctx, "giving the migrations' lock back", stepLimit, func(ctx context.Context) error {
		done := make(chan error, 1)
		go func() { done <- locker.Unlock(ctx, m.db) }()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		m.log.Warn("the migrations' lock goes only with its lease", "lease", lockLease, "error", err)
	}
}

// applyPending applies what is not applied yet, a file a step.
func (m *migration) applyPending(ctx context.Context) error {
	var pending []*goose.Source
	err := m.step(ctx, "reading what was migrated", stepLimit, func(ctx context.Context) error {
		pending = nil
		// HasPending refuses a file whose number is below that of one that was applied.
		if _, err := m.provider.HasPending(ctx); err != nil {
			return err
		}
		all, err := m.provider.Status(ctx)
		for _, s := range all {
			if s.State == goose.StatePending {
				pending = append(pending, s.Source)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, source := range pending {
		file := path.Base(source.Path)
		err := m.step(ctx, "migration "+file, fileLimit, func(ctx context.Context) error {
			result, err := m.provider.ApplyVersion(ctx, source.Version, true)
			if err == nil {
				m.log.Info("migrated", "file", file, "took", result.Duration)
			}
			if errors.Is(err, goose.ErrAlreadyApplied) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tune applies what only CockroachDB has, if this is one.
func (m *migration) tune(ctx context.Context) error {
	if !m.cockroach {
		return nil
	}
	for _, statement := range m.tuning {
		err := m.step(ctx, statement, stepLimit, func(ctx context.Context) error {
			_, err := m.db.ExecContext(ctx, statement)
			return err
		})
		var late *StepTimeoutError
		if errors.As(err, &late) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			m.log.Warn("the database is not tuned", "statement", statement, "error", err)
		}
	}
	return nil
}

// newest is the number of the newest of the files.
func newest(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, err
	}
	if len(names) == 0 {
		return 0, goose.ErrNoMigrations
	}
	return goose.NumericComponent(slices.Max(names))
}
