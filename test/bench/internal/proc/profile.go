package proc

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"
)

// profileAnswer is what a child prints once it began or ended its profile.
const profileAnswer = "profile"

// ProfileOnSignal lets a child profile itself into a file from one SIGUSR1 to the
// next, until ctx ends.
func ProfileOnSignal(ctx context.Context, path string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		defer signal.Stop(signals)
		var file *os.File
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if file != nil {
				pprof.StopCPUProfile()
				_ = file.Close()
				file = nil
				fmt.Println(profileAnswer)
				continue
			}
			var err error
			if file, err = os.Create(path); err == nil {
				err = pprof.StartCPUProfile(file)
			}
			if err != nil {
				fmt.Println(profileAnswer, err)
				continue
			}
			fmt.Println(profileAnswer)
		}
	}()
}

// Profile lets a child that has called ProfileOnSignal begin its profile, or end it.
func (c *Child) Profile() error {
	if err := c.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	timeout := time.AfterFunc(StartWithin, c.Stop)
	defer timeout.Stop()
	answer, err := c.Line()
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if answer != profileAnswer {
		return fmt.Errorf("profile: the child answers %q", answer)
	}
	return nil
}
