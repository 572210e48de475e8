// Package testport gives tests' servers ports of their own.
package testport

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// New returns a loopback TCP port that stays this process's until it ends: while no server listens
// at it, clients are refused and nobody else is given it as a free one. A server that sets
// SO_REUSEADDR, as those do that can be started again at once, may listen at it.
func New() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("making a socket: %w", err)
	}
	// Never closed here: it is what keeps the port.
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, fmt.Errorf("binding a port: %w", err)
	}
	// Not before: the port is to be one that nobody has.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, fmt.Errorf("setting SO_REUSEADDR: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("asking for the port: %w", err)
	}
	return bound.(*unix.SockaddrInet4).Port, nil
}

// TB is what a test gives: *testing.T, *testing.B or ginkgo's GinkgoTB().
type TB interface {
	Helper()
	Fatal(args ...any)
}

// Own is Address for a test, which fails if there is none.
func Own(tb TB) string {
	tb.Helper()
	address, err := Address()
	if err != nil {
		tb.Fatal(err)
	}
	return address
}

// Address is New as host:port.
func Address() (string, error) {
	port, err := New()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}
