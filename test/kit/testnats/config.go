package testnats

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderd-dev/orderd/orderd/sim/localnats"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// configuredTimeout bounds how long a server may take until it answers.
const configuredTimeout = 10 * time.Second

// Configured is a NATS server that has read a configuration file, as an administrator's has.
type Configured struct {
	// URL is the server's address.
	URL string
	log violations
}

// RunConfig starts a server with a configuration, which need not say where it listens or stores; files
// that it includes are named from folder. It is stopped when the test ends. Every write is fsynced.
func RunConfig(tb TB, folder, config string) *Configured {
	tb.Helper()
	store, err := os.MkdirTemp("", "orderd-nats-")
	if err != nil {
		tb.Fatalf("making the NATS store's folder: %v", err)
	}
	port, err := testport.New()
	if err != nil {
		tb.Fatalf("finding a port for NATS: %v", err)
	}
	path := filepath.Join(folder, "nats.conf")
	whole := fmt.Sprintf("listen: 127.0.0.1:%d\njetstream: {store_dir: %q, sync_interval: always}\n%s", port, store,
		config)
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		tb.Fatalf("writing the NATS configuration: %v", err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		tb.Fatalf("reading the NATS configuration: %v", err)
	}
	options.NoSigs = true
	srv, err := server.NewServer(options)
	if err != nil {
		tb.Fatalf("configuring NATS: %v", err)
	}
	s := &Configured{URL: localnats.URL(port)}
	srv.SetLoggerV2(&s.log, false, false, false)
	srv.Start()
	tb.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		if err := os.RemoveAll(store); err != nil {
			tb.Errorf("removing the NATS store: %v", err)
		}
	})
	if !srv.ReadyForConnections(configuredTimeout) {
		tb.Fatalf("NATS did not come up within %s", configuredTimeout)
	}
	return s
}

// Violations are what the server has refused clients that their permissions do not have.
func (s *Configured) Violations() []string { return s.log.all() }

// violations is a server's log of which the refusals are kept.
type violations struct {
	mu    sync.Mutex
	lines []string
}

func (v *violations) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.lines)
}

func (v *violations) add(format string, args []any) {
	line := fmt.Sprintf(format, args...)
	if !strings.Contains(line, "Violation") {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lines = append(v.lines, line)
}

// Errorf and the others are those of a server's logger.
func (v *violations) Errorf(format string, args ...any) { v.add(format, args) }
func (v *violations) Warnf(format string, args ...any)  { v.add(format, args) }
func (v *violations) Fatalf(format string, args ...any) { v.add(format, args) }
func (*violations) Noticef(string, ...any)              {}
func (*violations) Debugf(string, ...any)               {}
func (*violations) Tracef(string, ...any)               {}
