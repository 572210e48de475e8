package localdb

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// BinaryVariable names a cockroach binary in the environment.
const BinaryVariable = "COCKROACH_BINARY"

// FindCockroach returns the path of CockroachDB's program: the one that COCKROACH_BINARY names, else
// the PATH's, else nothing.
func FindCockroach() string {
	if binary := os.Getenv(BinaryVariable); binary != "" {
		return binary
	}
	binary, _ := exec.LookPath("cockroach")
	return binary
}

// Cockroach is a CockroachDB of one node to start.
type Cockroach struct {
	// Binary is the path of its program.
	Binary string
	// Dir is the folder of its data and of what it prints, which has to be there. Data that are in it
	// are used.
	Dir string
	// Port on the loopback address.
	Port int
	// Files stay open as long as the server runs.
	Files []*os.File
}

// Start serves and returns the URL of database defaultdb, whose user may do everything. Its page for
// people is at a port of the system's choice; what it prints says which.
func (c Cockroach) Start(ctx context.Context) (*url.URL, error) {
	address, log := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)), filepath.Join(c.Dir, "log")
	ended, err := held{
		script: supervisor, log: log, attr: &syscall.SysProcAttr{Setsid: true}, files: c.Files,
		args: []string{
			"TERM", "", c.Binary, "start-single-node", "--insecure", "--store=" + filepath.Join(c.Dir, "data"),
			"--listen-addr=" + address, "--http-addr=127.0.0.1:0", "--log-dir=" + filepath.Join(c.Dir, "logs"),
		},
	}.start()
	if err != nil {
		return nil, fmt.Errorf("starting CockroachDB: %w", err)
	}
	u := &url.URL{
		Scheme: "postgres", User: url.User("root"), Host: address, Path: "/defaultdb", RawQuery: "sslmode=disable",
	}
	return u, ready(ctx, u, log, ended)
}
