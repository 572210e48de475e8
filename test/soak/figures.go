package main

import (
	"context"
	"fmt"
)

// figures are what grows if something leaks: the operators' goroutines and files, and by how many connections they were
// connected to any one place at once since the checkpoint before.
type figures struct{ goroutines, files, databases, messaging int }

// What may be more than at the first checkpoint: caches and queues have what they need by then, so that more means that
// something is never let go.
const (
	moreGoroutines = 150
	moreFiles      = 60
	// An operator needs four connections to a database and one to NATS.
	needsDatabase  = 4
	needsMessaging = 1
	// At a moment there may be more: one operator that is paused has its own, and each may be closing those by earlier
	// settings, or that broke, while it makes others.
	mostDatabase  = 2 * 2 * needsDatabase
	mostMessaging = 2 * 2 * needsMessaging
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
		w.connected(p)
	}
	f.databases, f.messaging = w.databases, w.messaging
	w.databases, w.messaging = 0, 0
	return f, nil
}

// connected notes how many connections operators had to a place at once.
func (w *walk) connected(p *place) {
	w.databases = max(w.databases, p.database.takeMost())
	w.messaging = max(w.messaging, p.messaging.takeMost())
}

// unneeded are the connections that operators have to a place though they need none, or not as many. The one that leads
// needs some while there is an OrderCluster.
func (p *place) unneeded(cluster bool) []string {
	database, messaging := 0, 0
	if cluster {
		database, messaging = needsDatabase, needsMessaging
	}
	var out []string
	for _, one := range []struct {
		pipe  *pipe
		what  string
		needs int
	}{{p.database, "its database", database}, {p.messaging, "its NATS", messaging}} {
		if n := one.pipe.count(); n > one.needs {
			out = append(out, fmt.Sprintf("operators have %d connections to %s, and need %d", n, one.what, one.needs))
		}
	}
	return out
}

func (f figures) String() string {
	return fmt.Sprintf("operators: %d goroutines, %d files, at most %d connections to a database at once and %d to a NATS",
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
		return fmt.Errorf("%d connections to one database at once", f.databases)
	case f.messaging > mostMessaging:
		return fmt.Errorf("%d connections to one NATS at once", f.messaging)
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
