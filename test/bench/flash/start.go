package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// start a child of this program.
func (b *bench) start(ctx context.Context, s spec, group *proc.Group) (*proc.Child, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return proc.Start(ctx, proc.Options{Args: []string{"-child", string(raw)}, Env: podMemory, Group: group})
}

// startRedis starts a Redis that has every write on disk before it answers. Nothing else is written
// beside: no snapshots, and its log is not rewritten during the run.
func (b *bench) startRedis(ctx context.Context) error {
	path, err := findRedis(ctx)
	if err != nil {
		return err
	}
	if b.redisAddress, err = testport.Address(); err != nil {
		return err
	}
	folder := filepath.Join(b.folder, "redis")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(b.redisAddress)
	if err != nil {
		return err
	}
	b.redisServer, err = proc.Start(ctx, proc.Options{Path: path, Args: []string{
		"--bind",
		"127.0.0.1",
		"--port",
		port,
		"--dir",
		folder,
		"--save",
		"",
		"--appendonly",
		"yes",
		"--appendfsync",
		"always",
		"--auto-aof-rewrite-percentage",
		"0",
		"--logfile",
		filepath.Join(folder, "log"),
	}})
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: b.redisAddress})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, proc.StartWithin)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("redis did not start; its log is %s", filepath.Join(folder, "log"))
		}
	}
	// What makes the comparison one is asked for, not assumed.
	set, err := client.ConfigGet(ctx, "appendfsync").Result()
	if err != nil || set["appendfsync"] != "always" {
		return fmt.Errorf("redis: appendfsync is %q: %w", set["appendfsync"], err)
	}
	return nil
}

// policy keeps Debian's packages from starting their servers.
const policy = "/usr/sbin/policy-rc.d"

// findRedis returns the server's path, and installs it if it is missing.
func findRedis(ctx context.Context) (string, error) {
	const name = "redis-server"
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("%s is not on the PATH, and there is no apt-get to install it with", name)
	}
	if _, err := os.Stat(policy); os.IsNotExist(err) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return "", err
		}
		defer func() { _ = os.Remove(policy) }()
	}
	for _, step := range [][]string{{"update", "-q"}, {"install", "-qy", "--no-install-recommends", name}} {
		fmt.Printf("installing Redis: apt-get %s\n", step[0])
		cmd := exec.CommandContext(ctx, "apt-get", step...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w: %s", step[0], err, out)
		}
	}
	return exec.LookPath(name)
}
