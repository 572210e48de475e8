// Package pages reads and runs the shell lines of the pages in docs/, so that they stay true.
package pages

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// blockTimeout bounds one block, waiting included.
const blockTimeout = 3 * time.Minute

// Shell is one session of sh: what a block sets, later ones read.
type Shell struct {
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan int
	ends chan struct{}
	runs int
}

// Start begins a session in a folder, with variables beside the environment's.
func Start(dir string, variables map[string]string) (*Shell, error) {
	s := &Shell{dir: dir, cmd: exec.Command("sh"), done: make(chan int), ends: make(chan struct{})}
	s.cmd.Dir = dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Env = os.Environ()
	for name, value := range variables {
		s.cmd.Env = append(s.cmd.Env, name+"="+value)
	}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.in = in
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting sh: %w", err)
	}
	go func() {
		defer close(s.ends)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			status, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
			if err == nil {
				s.done <- status
			}
		}
		_ = s.cmd.Wait()
	}()
	return s, nil
}

// Run runs a block and returns what it printed. A block ends with status 0.
func (s *Shell) Run(script string) (stdout, stderr []byte, err error) {
	s.runs++
	name := filepath.Join(s.dir, fmt.Sprintf(".block-%d", s.runs))
	if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
		return nil, nil, err
	}
	if _, err := fmt.Fprintf(s.in, ". %[1]s >%[1]s.out 2>%[1]s.err </dev/null; echo $?\n", name); err != nil {
		return nil, nil, fmt.Errorf("the shell is gone: %w", err)
	}
	timeout := time.NewTimer(blockTimeout)
	defer timeout.Stop()
	select {
	case status := <-s.done:
		if status != 0 {
			err = fmt.Errorf("status %d", status)
		}
	case <-s.ends:
		err = fmt.Errorf("the shell ended")
	case <-timeout.C:
		err = fmt.Errorf("not done after %v", blockTimeout)
		s.kill()
	}
	stdout, _ = os.ReadFile(name + ".out")
	stderr, _ = os.ReadFile(name + ".err")
	return stdout, stderr, err
}

// Stop ends the session and whatever still runs in it.
func (s *Shell) Stop() {
	_ = s.in.Close()
	s.kill()
	<-s.ends
}

func (s *Shell) kill() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
