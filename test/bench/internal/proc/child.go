// Package proc runs a benchmark's servers in processes of their own, which are the benchmark's
// program again.
package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// StartWithin is how long a server may take until it is ready.
	StartWithin = 30 * time.Second
	// clockTick is the unit of CPU times in /proc: a hundredth of a second on every Linux that Go
	// runs on.
	clockTick = 10 * time.Millisecond
)

// Child is a server in a process of its own.
type Child struct {
	// URL that it answers at.
	URL string

	cmd *exec.Cmd
	out *bufio.Scanner
}

// Options of a child.
type Options struct {
	// Path of its program; empty: this one.
	Path string
	Args []string
	// Env is added to this process's.
	Env []string
	// Group is the control group that it starts in; nil: this process's.
	Group *Group
}

// Start a child. It is killed when this process ends, or ctx.
func Start(ctx context.Context, o Options) (*Child, error) {
	path := o.Path
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, path, o.Args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), o.Env...)
	// A child does not outlive this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = StartWithin
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", strings.Join(o.Args, " "), err)
	}
	c := &Child{cmd: cmd, out: bufio.NewScanner(out)}
	if err := o.Group.Add(cmd.Process.Pid); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Line is the next that the child prints.
func (c *Child) Line() (string, error) {
	if !c.out.Scan() {
		return "", errors.Join(errors.New("the child ended"), c.out.Err())
	}
	return c.out.Text(), nil
}

// Wait until the child, which prints nothing any more, ended by itself.
func (c *Child) Wait() error { return c.cmd.Wait() }

// Ready waits until a URL answers with OK.
func (c *Child) Ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, StartWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the child did not become ready: %w", err)
		}
	}
}

func ready(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

// Move the child to another control group.
func (c *Child) Move(to *Group) error { return to.Add(c.cmd.Process.Pid) }

// Stop kills the child; nil is none.
func (c *Child) Stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // Killed.
}

// CPU is the time that the process has had of all cores.
func (c *Child) CPU() (time.Duration, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(c.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return cpuOf(string(raw))
}

// cpuOf a process, from its /proc stat.
func cpuOf(stat string) (time.Duration, error) {
	// "pid (name) state ppid …": utime and stime are the 12th and 13th after the name.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("unexpected /proc stat %q", stat)
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("unexpected /proc stat %q", stat)
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}
