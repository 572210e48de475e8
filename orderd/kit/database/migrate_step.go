package database

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// StepTimeoutError says that [Migrate] gave a step up, and after how long. What was
// migrated before it stays so.
type StepTimeoutError struct {
	Step  string
	Limit time.Duration
}

// Error names the step.
func (e *StepTimeoutError) Error() string {
	return fmt.Sprintf("%s took longer than %v", e.Step, e.Limit)
}

// step runs one step of a migration for at most the limit. The step is run again after a
// conflict with another transaction, so it must be repeatable: CockroachDB may ask for that, and
// goose does not do it.
func (m *migration) step(ctx context.Context, name string, limit time.Duration, do func(context.Context) error) error {
	return m.bounded(ctx, name, limit, func(ctx context.Context) error {
		for attempt := 1; ; attempt++ {
			err := do(ctx)
			if err == nil || ClassOf(err) != Retry || attempt == maxAttempts {
				return err
			}
			m.log.Warn("a step of the migration met a conflict and is tried again", "step", name, "error", err)
		}
	})
}

// bounded runs one step, once, for at most the limit.
func (m *migration) bounded(
	ctx context.Context, name string, limit time.Duration, do func(context.Context) error,
) error {
	if m.mostPerStep > 0 {
		limit = min(limit, m.mostPerStep)
	}
	late := &StepTimeoutError{Step: name, Limit: limit}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	err := do(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), late):
		return fmt.Errorf("%w: %w", late, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
