package main

import (
	"context"
	"fmt"
)

// figures are what grows if something leaks: the operators' goroutines and files, and what they are connected by.
type figures struct{ goroutines, files, databases, messaging int }

// What may be more than at the first checkpoint: caches and queues have what they need by then, so that more means that
// something is never let go.
const (
	moreGoroutines = 150
	moreFiles      = 60
	// An operator has four connections to a database and one to NATS.
	mostDatabase  = 2 * 4
	mostMessaging = 2 * 1
)

func (w *walk) figures(ctx context.Context) (f figures, err error) {
	for _, o := range w.operators {
		var g, n int
		err := within(ctx, func() (err error) {
			g, n, err = o.figures(ctx)
			return err
		})
		if err != nil {
			return f, fmt.Errorf("asking %s for its metrics: %w", o.process.Name, err)
		}
		f.goroutines += g
		f.files += n
	}
	for _, p := range w.places {
		f.databases = max(f.databases, p.database.count())
		f.messaging = max(f.messaging, p.messaging.count())
	}
	return f, nil
}

func (f figures) String() string {
	return fmt.Sprintf("operators: %d goroutines, %d files, at most %d connections to a database and %d to a NATS",
		f.goroutines, f.files, f.databases, f.messaging)
}

// exceed says what has grown beyond what it may.
func (f figures) exceed(first figures) error {
	switch {
	case f.goroutines > first.goroutines+moreGoroutines:
		return fmt.Errorf("%d goroutines, and %d at the first checkpoint: they leak", f.goroutines, first.goroutines)
	case f.files > first.files+moreFiles:
		return fmt.Errorf("%d open files, and %d at the first checkpoint: they leak", f.files, first.files)
	case f.databases > mostDatabase:
		return fmt.Errorf("%d connections to one database", f.databases)
	case f.messaging > mostMessaging:
		return fmt.Errorf("%d connections to one NATS", f.messaging)
	}
	return nil
}

// within tries again for a while: an operator that was just started does not answer yet.
func within(ctx context.Context, try func() error) error {
	var err error
	for range 60 {
		if err = try(); err == nil {
			return nil
		}
		if paused := pause(ctx, pollInterval); paused != nil {
			return paused
		}
	}
	return err
}
