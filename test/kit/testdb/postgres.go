package testdb

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
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/test/kit/testport"
)

const installHint = "no database for the tests: set " + URLVariable + ", put cockroach on the PATH, or apt-get " +
	"install postgresql"

// supervisor runs a server for as long as its standard input stays open. The test process
// holds the other end of that pipe, so that even after a panic or a SIGKILL the server goes
// and its folder with it.
const supervisor = `dir=$1; shift; "$@" </dev/null & pid=$!
cat >/dev/null
kill -QUIT $pid; wait $pid; rm -rf "$dir"`

// Durability is not what the tests test: what they kill is orderd, not the machine.
var (
	fast    = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB"}
	durable = []string{
		"fsync=on",
		"synchronous_commit=on",
		"full_page_writes=on",
		"shared_buffers=512MB",
		"max_wal_size=4GB",
	}
)

// findPostgres returns the folder with PostgreSQL's programs: the PATH's, else Debian's newest.
func findPostgres() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New(installHint)
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// startPostgres makes a fresh cluster in a temporary folder and serves it on a loopback port, as
// another user if this is root, which PostgreSQL refuses to run as.
func startPostgres(bin string, settings []string) (*url.URL, error) {
	attr, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "orderd-testdb-")
	if err != nil {
		return nil, err
	}
	if attr.Credential != nil {
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "orderd", "--auth=trust", "--encoding=UTF8",
		"--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := testport.New()
	if err != nil {
		return nil, err
	}
	command := []string{filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port)}
	always := []string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"}
	for _, setting := range append(always, settings...) {
		command = append(command, "-c", setting)
	}
	if err := supervise(dir, attr, command...); err != nil {
		return nil, err
	}
	u := &url.URL{
		Scheme:   "postgres",
		User:     url.User("orderd"),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u, ready(u, filepath.Join(dir, "log"))
}

// unprivileged are the attributes of a process in a session of its own, so that a Ctrl-C in the
// terminal reaches the test process first.
func unprivileged() (*syscall.SysProcAttr, error) {
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

// supervise starts a server below the supervisor; what it prints goes to the folder's file log.
func supervise(dir string, attr *syscall.SysProcAttr, command ...string) error {
	return pipeHeld(dir, attr, supervisor, append([]string{dir}, command...)...)
}

// pipeHeld starts a shell script whose standard input closes when this process ends, and not before.
func pipeHeld(dir string, attr *syscall.SysProcAttr, script string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "testdb"}, args...)...)
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = attr, log, log
	// Never closed here: the end of the process closes it.
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Waiting keeps the command, and with it the pipe, from being collected.
	go func() { _ = cmd.Wait() }()
	return nil
}

// ready waits until the server answers.
func ready(u *url.URL, log string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, u.String())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			said, _ := os.ReadFile(log)
			return fmt.Errorf("the server did not answer: %w: %s", err, said)
		}
	}
}
