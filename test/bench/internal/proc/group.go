package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cgroupPeriod is over which a CPU limit is kept, as Kubernetes sets it.
const cgroupPeriod = 100 * time.Millisecond

// Groups are control groups of a run, below one of their own.
type Groups struct {
	// Version of the machine's control groups, 1 or 2.
	Version int

	root, folder string
	made         []string
}

// Group is a control group with a share of the processors; nil is none.
type Group struct{ folder string }

// NewGroups makes a control group for a run; an error says why this machine allows none.
func NewGroups(name string) (*Groups, error) {
	g := &Groups{Version: 1}
	root := "/sys/fs/cgroup/cpu"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		g.Version, root = 2, "/sys/fs/cgroup"
	}
	g.root, g.folder = root, filepath.Join(root, name)
	if err := os.Mkdir(g.folder, 0o755); err != nil {
		return nil, fmt.Errorf("control groups: %w", err)
	}
	g.made = append(g.made, g.folder)
	if g.Version == 2 {
		for _, folder := range []string{root, g.folder} {
			if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+cpu"), 0o644); err != nil {
				g.Remove()
				return nil, fmt.Errorf("control groups: %w", err)
			}
		}
	}
	return g, nil
}

// Pod makes a group with what a pod that requests, and is limited to, so many thousandths of a
// processor gets; a limit of 0 is none.
func (g *Groups) Pod(name string, request, limit int) (*Group, error) {
	folder := filepath.Join(g.folder, name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, fmt.Errorf("control group %s: %w", name, err)
	}
	g.made = append(g.made, folder)
	for file, value := range settings(g.Version, request, limit) {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(value), 0o644); err != nil {
			return nil, fmt.Errorf("control group %s: %w", name, err)
		}
	}
	return &Group{folder: folder}, nil
}

// settings are what the kubelet writes for a pod.
func settings(version, request, limit int) map[string]string {
	shares := max(request*1024/1000, 2)
	period := cgroupPeriod.Microseconds()
	quota := period * int64(limit) / 1000
	if version == 1 {
		files := map[string]string{"cpu.shares": strconv.Itoa(shares)}
		if limit > 0 {
			files["cpu.cfs_period_us"], files["cpu.cfs_quota_us"] = strconv.FormatInt(period, 10), strconv.FormatInt(quota, 10)
		}
		return files
	}
	files := map[string]string{"cpu.weight": strconv.Itoa(1 + (shares-2)*9999/262142)}
	if limit > 0 {
		files["cpu.max"] = fmt.Sprintf("%d %d", quota, period)
	}
	return files
}

// Remove the groups, whose processes have ended; what cannot be removed stays, empty.
func (g *Groups) Remove() {
	if g == nil {
		return
	}
	for i := len(g.made) - 1; i >= 0; i-- {
		_ = os.Remove(g.made[i])
	}
}

// Root is the group of everything that is in no other.
func (g *Groups) Root() *Group { return &Group{folder: g.root} }

// Add a process to the group, with the threads and children that it will have.
func (g *Group) Add(pid int) error {
	if g == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(g.folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("control group %s: %w", filepath.Base(g.folder), err)
	}
	return nil
}
