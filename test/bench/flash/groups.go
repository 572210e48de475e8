package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

// What a pod requests of the processors, and is limited to, in thousandths. The sale's buyers are
// not in the cluster; they get what is left.
const (
	standardRequest = 500
	databaseRequest = 1000
	natsRequest     = 500
	flashRequest    = 500
	buyersRequest   = 100
	// poolLimit is for the pods of which there are one, two and three, so that a machine of two
	// cores has room for all of them.
	poolRequest, poolLimit = 300, 300
)

// groups are the run's control groups; all nil if the machine allows none.
type groups struct {
	all *proc.Groups
	err error

	nats, flash, standard, database, buyers *proc.Group
	pool                                    [mostPods]*proc.Group
}

// newGroups makes the control groups, or says why there are none.
func newGroups() *groups {
	g := &groups{}
	if g.err = g.make(); g.err != nil {
		fmt.Printf("no control groups: %v\n", g.err)
		g.all.Remove()
		return &groups{err: g.err}
	}
	return g
}

func (g *groups) make() error {
	var err error
	if g.all, err = proc.NewGroups("orderd-bench-" + strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	type pod struct {
		group          **proc.Group
		name           string
		request, limit int
	}
	pods := []pod{
		{
			&g.nats,
			"nats",
			natsRequest,
			0,
		},
		{&g.flash, "flash", flashRequest, 0},
		{&g.standard, "standard", standardRequest, 0},
		{&g.database, "database", databaseRequest, 0},
		{&g.buyers, "buyers", buyersRequest, 0},
	}
	for n := range g.pool {
		pods = append(pods, pod{&g.pool[n], "pool-" + strconv.Itoa(n), poolRequest, poolLimit})
	}
	for _, p := range pods {
		if *p.group, err = g.all.Pod(p.name, p.request, p.limit); err != nil {
			return err
		}
	}
	return nil
}

// enterDatabase puts this process into the database's group until leave is called, so that what it
// starts is born there.
func (g *groups) enterDatabase() (leave func() error, err error) {
	if g.all == nil {
		return func() error { return nil }, nil
	}
	if err := g.database.Add(os.Getpid()); err != nil {
		return nil, err
	}
	return func() error { return g.all.Root().Add(os.Getpid()) }, nil
}

// enterSale puts the flash lane's processes into their groups until leave is called: elsewhere they
// are compared with processes that are in none.
func (g *groups) enterSale(pod, nats *proc.Child) (leave func() error, err error) {
	if g.all == nil {
		return func() error { return nil }, nil
	}
	leave = func() error { return errors.Join(pod.Move(g.all.Root()), nats.Move(g.all.Root())) }
	return leave, errors.Join(pod.Move(g.flash), nats.Move(g.nats))
}

func (g *groups) remove() {
	if g != nil {
		g.all.Remove()
	}
}

// String says what was set.
func (g *groups) String() string {
	if g.all == nil {
		return fmt.Sprintf(
			"no control groups could be made (%v): standard lane and sale, and the pods of a pool, had equal shares of all "+
				"processors and no limits",
			g.err,
		)
	}
	return fmt.Sprintf(
		"standard_*: control groups (v%d, cpu), thousandths of a processor requested: standard pod %d, database %d, NATS "+
			"%d, flash pod %d, the sale's buyers %d, no limits; pods of pods_N: limited to %d each",
		g.all.Version,
		standardRequest,
		databaseRequest,
		natsRequest,
		flashRequest,
		buyersRequest,
		poolLimit,
	)
}
