package localdb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that cannot start is told at once, with what it said, and not when the time is over in
// which a server has to answer.
func TestAServerThatEndsIsTold(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "cockroach")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho the address is in use\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Cockroach{Binary: binary, Dir: dir, Port: 1}.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the database server ended: the address is in use") {
		t.Errorf("a server that ends: %v", err)
	}
}

// What a server said that ended by itself stays.
func TestAServerThatEndsLeavesItsFolder(t *testing.T) {
	dir := t.TempDir()
	ended, err := held{
		script: supervisor, log: filepath.Join(dir, "log"), args: []string{"TERM", dir, "/bin/sh", "-c", "exit 1"},
	}.start()
	if err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
		t.Error(err)
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
