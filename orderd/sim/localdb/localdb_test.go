package localdb

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that cannot start is told at once, with what it said, and not when the time is over in
// which a server has to answer.
func TestAServerThatEndsIsTold(t *testing.T) {
	bin, err := FindPostgres()
	if errors.Is(err, ErrNoPostgres) {
		t.Skip(err)
	}
	// Below /tmp, which another user may enter.
	dir, err := os.MkdirTemp("/tmp", "orderd-localdb-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address, _ := taken.Addr().(*net.TCPAddr)
	// Closed, so that no connection waits for an answer of this test.
	go func() {
		for {
			conn, err := taken.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()

	ctx, cancel := context.WithTimeout(t.Context(), 2*startTimeout)
	defer cancel()
	server := Postgres{Bin: bin, Dir: dir, Port: address.Port, Temporary: true}
	if _, err = server.Start(ctx); err == nil || !strings.Contains(err.Error(), "the database server ended: ") ||
		!strings.Contains(err.Error(), "in use") {
		t.Errorf("a server whose port is taken: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
		t.Errorf("what it said is gone: %v", err)
	}
}

// A server goes with its folder when nobody holds it any more.
func TestAServerGoesWithItsFolder(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "data")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	release, ended, err := held{
		script: supervisor, log: filepath.Join(dir, "log"),
		args: []string{"TERM", folder, "sleep", "600"},
	}.hold()
	if err != nil {
		t.Fatal(err)
	}
	if err := release.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}
