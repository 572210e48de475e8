package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ports are ten in a row, so that everything stays where it was.
type ports int

// MaxPort is the highest first port.
const MaxPort = 65535 - 9

func (p ports) standard() string { return p.address(0) }
func (p ports) flash() string    { return p.address(1) }
func (p ports) outside() string  { return p.address(2) }
func (p ports) peers() string    { return p.address(3) }
func (p ports) nats() int        { return int(p) + 4 }
func (p ports) database() int    { return int(p) + 5 }

// admin of the nth role.
func (p ports) admin(n int) string { return p.address(6 + n) }

func (p ports) address(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p)+n)) }

// freeWithin is how long a shop that was ended a moment ago may take to give back its ports: its
// database has to write its data.
const freeWithin = 5 * time.Second

// await waits for the ports, and says so, or which of them somebody else has.
func (p ports) await(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, freeWithin)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	err := p.free(ctx)
	if err != nil {
		_, _ = fmt.Fprintf(out, "%s; waiting %s for whoever is about to end…\n",
			strings.ReplaceAll(err.Error(), "\n", ", "), freeWithin)
	}
	for err != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (choose ten others: -port)", err)
		case <-again.C:
			err = p.free(ctx)
		}
	}
	return nil
}

// free says which ports somebody else has.
func (p ports) free(ctx context.Context) error {
	var errs []error
	for n := range 9 {
		socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.address(n))
		if err != nil {
			errs = append(errs, fmt.Errorf("port %d is in use", int(p)+n))
			continue
		}
		_ = socket.Close()
	}
	return errors.Join(errs...)
}
