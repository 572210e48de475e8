// Package home is the folder in which a shop for development keeps its data. One process has it at a
// time.
package home

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/wholefile"
)

const (
	// patience is how long a process may take to end whose data another one wants.
	patience  = 15 * time.Second
	pollEvery = 50 * time.Millisecond
	// elsewhereFile names the folder outside that the shop has data in as well.
	elsewhereFile   = "elsewhere"
	elsewhereDir    = "/var/tmp"
	elsewherePrefix = "orderd-dev-"
)

// markFile says that a folder is a shop's, and may be emptied.
const markFile = "orderd-dev"

// ErrNotOurs says that a folder has something else in it.
var ErrNotOurs = errors.New("the folder is not empty, and not a shop's: choose another one")

// ErrTaken says that another process has the folder.
var ErrTaken = errors.New("another process has these data: stop it, or choose another folder (-data)")

// Home is a folder that this process has.
type Home struct {
	// Dir is its absolute path.
	Dir string
	// Lock stays locked as long as anybody has it open: a server that is given it keeps the data from
	// being used until it has ended.
	Lock *os.File
}

// Open makes the folder if it is not there, and takes it. If another process has it, waiting is told, if
// it is not nil, and Open waits for that process to end; after a while, or when ctx ends, it returns
// ErrTaken.
func Open(ctx context.Context, dir string, waiting func()) (*Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := ours(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &Home{Dir: dir, Lock: lock}, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			_ = lock.Close()
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		case waiting != nil:
			waiting()
			waiting = nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = lock.Close()
			return nil, fmt.Errorf("%s: %w", dir, ErrTaken)
		}
	}
}

// ours marks an empty folder as a shop's; any other has to have the mark.
func ours(dir string) error {
	mark := filepath.Join(dir, markFile)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s: %w", dir, ErrNotOurs)
	}
	return os.WriteFile(mark, []byte("The data of a shop for development; orderd-dev -reset deletes them.\n"), 0o644)
}

// Files are what a server keeps open that has data in the folder.
func (h *Home) Files() []*os.File { return []*os.File{h.Lock} }

// Path of a file or folder in it.
func (h *Home) Path(name ...string) string { return filepath.Join(append([]string{h.Dir}, name...)...) }

// Reset forgets everything that is in it.
func (h *Home) Reset() error {
	if outside, err := os.ReadFile(h.Path(elsewhereFile)); err == nil {
		folder := strings.TrimSpace(string(outside))
		if filepath.Dir(folder) != elsewhereDir || !strings.HasPrefix(filepath.Base(folder), elsewherePrefix) {
			return fmt.Errorf("%s names %s, which is no folder of a shop's", h.Path(elsewhereFile), folder)
		}
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == filepath.Base(h.Lock.Name()) || e.Name() == markFile {
			continue
		}
		if err := os.RemoveAll(h.Path(e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Folder makes a folder in it, unless it is there, and returns its path.
func (h *Home) Folder(name string) (string, error) {
	return h.Path(name), os.MkdirAll(h.Path(name), 0o755)
}

// Elsewhere is a folder for data that cannot be below Dir, the same one each time. Reset removes it.
func (h *Home) Elsewhere() (string, error) {
	if known, err := os.ReadFile(h.Path(elsewhereFile)); err == nil {
		folder := strings.TrimSpace(string(known))
		return folder, os.MkdirAll(folder, 0o755)
	}
	folder, err := os.MkdirTemp(elsewhereDir, elsewherePrefix)
	if err != nil {
		return "", err
	}
	return folder, h.Write(elsewhereFile, folder)
}

// Has tells whether a mark was set.
func (h *Home) Has(mark string) bool {
	_, err := os.Stat(h.Path(mark))
	return err == nil
}

// Mark sets a mark.
func (h *Home) Mark(mark string) error { return h.Write(mark, time.Now().UTC().Format(time.RFC3339)) }

// Secret is a key of 32 random bytes, as text that form makes of them, in a file. It is made at first
// and stays the same.
func (h *Home) Secret(name string, form func([]byte) string) (path string, err error) {
	if _, err := h.Folder("secrets"); err != nil {
		return "", err
	}
	file := filepath.Join("secrets", name)
	if h.Has(file) {
		return h.Path(file), nil
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // It never fails: crypto/rand ends the program instead.
	return h.Path(file), h.Write(file, form(key[:]))
}

// Forms of secrets.
var (
	// Hex is hexadecimal text.
	Hex = hex.EncodeToString
	// Webhook is how Standard Webhooks writes a key.
	Webhook = func(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }
)

// Write a file so that a crash leaves the whole of it, or what was there before.
func (h *Home) Write(name, text string) error {
	return wholefile.Write(h.Path(name), []byte(text+"\n"))
}
