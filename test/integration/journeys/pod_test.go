package journeys

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/serve"
)

// What a child is told through its environment.
const (
	roleVariable   = "ORDERD_JOURNEY_ROLE"
	nameVariable   = "ORDERD_JOURNEY_POD"
	configVariable = "ORDERD_JOURNEY_CONFIG"
)

// TestMain is a pod when the test binary has started itself again, to be killed.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runPod(config.Role(role)))
	}
	os.Exit(m.Run())
}

// runPod serves until standard input closes, which the parent's death does too.
func runPod(role config.Role) int {
	c, err := config.Load(os.Getenv(configVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	name := os.Getenv(nameVariable)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("pod", name)
	if err := serve.Run(ctx, serve.Options{Role: role, Config: c, Name: name, Version: "test", Log: log}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// pod is a process that can be killed; another one with its name takes its place at once.
type pod struct {
	w            *world
	role         config.Role
	name, config string
	admin        string

	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	kills int
}

func (p *pod) start() error {
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), roleVariable+"="+string(p.role), nameVariable+"="+p.name, configVariable+"="+p.config)
	p.cmd.Stdout, p.cmd.Stderr = p.w.logs, p.w.logs
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.stdin, p.done = stdin, make(chan struct{})
	if err := p.cmd.Start(); err != nil {
		return err
	}
	cmd, done := p.cmd, p.done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// kill ends the process as a lost machine would, once it is ready, and starts the next one, which
// it does not wait for.
func (p *pod) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.untilReady(); err != nil {
		return err
	}
	p.kills++
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.stdin.Close()
	return p.start()
}

func (p *pod) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.stdin.Close()
}

func (p *pod) untilReady() error {
	return until(p.name+" is ready", func() (bool, error) {
		select {
		case <-p.done:
			return false, fmt.Errorf("%s ended by itself", p.name)
		default:
		}
		res, err := http.Get("http://" + p.admin + "/readyz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK, nil
	})
}

// until waits for a condition.
func until(what string, holds func() (bool, error)) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("not within %v: %s", patience, what)
		}
	}
}
