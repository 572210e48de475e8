package localdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// ErrNoPostgres says that PostgreSQL is not installed, as far as FindPostgres can see.
var ErrNoPostgres = errors.New("PostgreSQL is not installed")

// ErrNoEntry says that the user whom PostgreSQL runs as may not enter its folder.
var ErrNoEntry = errors.New("PostgreSQL does not run as root, and the user it runs as instead may not enter its folder")

// places are where PostgreSQL's servers lie that are not on the PATH: Debian's, Fedora's, Homebrew's
// and Postgres.app's.
var places = []string{
	"/usr/lib/postgresql/*/bin/postgres",
	"/usr/pgsql-*/bin/postgres",
	"/opt/homebrew/opt/postgresql*/bin/postgres",
	"/usr/local/opt/postgresql*/bin/postgres",
	"/Applications/Postgres.app/Contents/Versions/*/bin/postgres",
}

// FindPostgres returns the folder with PostgreSQL's programs: the PATH's, else the newest in the usual
// places; else ErrNoPostgres.
func FindPostgres() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	for _, place := range places {
		found, err := filepath.Glob(place)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			slices.Sort(found)
			return filepath.Dir(found[len(found)-1]), nil
		}
	}
	return "", ErrNoPostgres
}

// Postgres is a server to start.
type Postgres struct {
	// Bin is the folder with PostgreSQL's programs.
	Bin string
	// Dir is the folder of its data and of what it prints, which has to be there. Data that are in it
	// are used.
	Dir string
	// Port on the loopback address.
	Port int
	// Settings of its configuration, each name=value.
	Settings []string
	// Temporary removes Dir when the server ends.
	Temporary bool
	// Files stay open as long as the server runs.
	Files []*os.File
}

// Start serves and returns the URL of database postgres, whose user may do everything. It runs as
// another user if this is root, which PostgreSQL refuses to run as: ErrNoEntry if that user cannot
// reach Dir.
func (p Postgres) Start(ctx context.Context) (*url.URL, error) {
	attr, err := p.unprivileged()
	if err != nil {
		return nil, err
	}
	if err := p.enter(ctx, attr); err != nil {
		return nil, err
	}
	data := filepath.Join(p.Dir, "data")
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		if err := p.initialise(ctx, data, attr); err != nil {
			return nil, err
		}
	}
	command := []string{filepath.Join(p.Bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.Port)}
	always := []string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"}
	for _, setting := range slices.Concat(always, p.Settings) {
		command = append(command, "-c", setting)
	}
	// Who wants the data later has them written; who does not, has them gone at once.
	signal, remove := "INT", ""
	if p.Temporary {
		signal, remove = "QUIT", p.Dir
	}
	log := filepath.Join(p.Dir, "log")
	ended, err := held{
		script: supervisor, args: append([]string{signal, remove}, command...), log: log, attr: attr, files: p.Files,
	}.start()
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	u := &url.URL{
		Scheme: "postgres", User: url.User("orderd"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u, ready(ctx, u, log, ended)
}

// initialise makes new data, so that whoever is killed in between leaves none.
func (p Postgres) initialise(ctx context.Context, data string, attr *syscall.SysProcAttr) error {
	next := data + ".next"
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(p.Bin, "initdb"), "-D", next, "-U", "orderd", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr, initdb.ExtraFiles = p.Dir, attr, p.Files
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return os.Rename(next, data)
}

// enter makes Dir its user's, who must be able to reach it.
func (p Postgres) enter(ctx context.Context, attr *syscall.SysProcAttr) error {
	if attr.Credential == nil {
		return nil
	}
	if err := os.Chown(p.Dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
		return err
	}
	try := exec.CommandContext(ctx, "/bin/sh", "-c", `cd "$1"`, "try", p.Dir)
	try.Dir, try.SysProcAttr = "/", attr
	if try.Run() != nil {
		return fmt.Errorf("%w: %s", ErrNoEntry, p.Dir)
	}
	return nil
}

// unprivileged are the attributes of a process in a session of its own, so that a Ctrl-C in the
// terminal reaches this process first.
func (Postgres) unprivileged() (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}
