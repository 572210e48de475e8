package main

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// loopIdle keeps every processor busy with nothing, at the lowest priority that there is, until ctx
// ends. What becomes slower beside it does so beside anything. It prints a line once it loops.
func loopIdle(ctx context.Context) error {
	var loops errgroup.Group
	idle := make(chan error)
	for range runtime.GOMAXPROCS(0) {
		loops.Go(func() error {
			runtime.LockOSThread()
			err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
			idle <- err
			for err == nil && ctx.Err() == nil {
			}
			return err
		})
	}
	for range runtime.GOMAXPROCS(0) {
		if err := <-idle; err != nil {
			return fmt.Errorf("lowering the priority: %w", err)
		}
	}
	fmt.Println("looping")
	return loops.Wait()
}
