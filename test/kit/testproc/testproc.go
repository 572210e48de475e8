// Package testproc runs servers of a test in processes of their own, which the test kills, stops
// and starts again.
package testproc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Process is a program that can be started any number of times, one at a time. It is killed when
// this process ends. Safe for concurrent use.
type Process struct {
	// Name in errors.
	Name string
	// Path of the program; empty: the one that runs now, again.
	Path string
	Args []string
	// Env is added to this process's.
	Env []string
	// Log gets what it prints; nil: nobody.
	Log io.Writer
	// Credential to run with; nil: this process's.
	Credential *syscall.Credential

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// Start the program unless it runs. env is added for this start only.
func (p *Process) Start(env ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return nil
	}
	path := p.Path
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return err
		}
	}
	cmd := exec.Command(path, p.Args...)
	cmd.Env = append(append(os.Environ(), p.Env...), env...)
	cmd.Stdout, cmd.Stderr = p.Log, p.Log
	// In a group of its own, so that a Ctrl-C reaches this process only; it does not outlive this
	// process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Credential: p.Credential}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.cmd, p.done = cmd, done
	return nil
}

// Kill ends the process as a lost machine would, and returns when it is gone.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Interrupt asks the process, and those that it has started, to end, as Ctrl-C does, and returns when
// it has.
func (p *Process) Interrupt() {
	p.mu.Lock()
	if p.alive() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT)
	}
	p.mu.Unlock()
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Pause stops the process where it is, until Resume. Both do nothing to one that has ended.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		_ = p.cmd.Process.Signal(s)
	}
}

// Alive says whether the process runs, or is paused.
func (p *Process) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive()
}

func (p *Process) alive() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}
