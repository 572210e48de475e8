package main

import (
	"context"
	"fmt"

	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/wire"
)

const (
	// overloadFactor is how much of the capacity is asked for.
	overloadFactor = 10
	comfortable    = 0.5
	// rushConnections are as many callers as one machine can have in earnest beside what they call.
	// A pod holds refusals back, so that a caller who does not keep to the retry delay, as none
	// does here, cannot ask again before.
	rushConnections = 10_000
	halfConnections = 1_000
)

// overload measures how long buyers wait for an accepted order when half of the capacity is asked
// for, and when ten times as much is. Both are open loops: requests are due at a fixed rate
// whatever became of those before, and a buyer's time counts from when the request was due. Every
// buyer has a connection in truth; here a request that is due while all of rushConnections wait for
// an answer is not sent. The table says how much was sent.
func (b *bench) overload(ctx context.Context) error {
	full, err := b.overloadPhase(ctx, "capacity", b.connections, 0)
	if err != nil {
		return err
	}
	half, err := b.overloadPhase(ctx, "half", halfConnections, comfortable*full.Accepted)
	if err != nil {
		return err
	}
	rush, err := b.overloadPhase(ctx, "rush", rushConnections, overloadFactor*full.Accepted)
	if err != nil {
		return err
	}
	fmt.Printf("  of %.0f due a second in the rush %.0f were sent\n", overloadFactor*full.Accepted,
		rush.Accepted+rush.Refused)
	if rush.Accepted == 0 {
		// Nobody was served: as slow as a call can be.
		rush.P99 = wire.Within
	}
	b.rounds.Add("overload_p99_ratio", rush.P99.Seconds()/half.P99.Seconds())
	b.rounds.Add("rush_accepted_of_capacity", rush.Accepted/full.Accepted)
	b.rounds.Add("rush_refused_per_second", rush.Refused)
	b.rounds.Add("rush_sent_of_capacity", (rush.Accepted+rush.Refused)/full.Accepted)
	return nil
}

func (b *bench) overloadPhase(ctx context.Context, name string, connections int, rate float64) (load.Result, error) {
	s, err := b.openSale(ctx, b.partitions, plenty, b.pod)
	if err != nil {
		return load.Result{}, err
	}
	o := load.Options{
		URLs:        []string{b.pod.URL},
		Servers:     []*proc.Child{b.pod, b.nats},
		Rate:        rate,
		Connections: connections,
	}
	r, err := b.phaseOf(ctx, name, o, buyers(s.GetName(), overloaded))
	if err != nil {
		return r, err
	}
	return r, s.end(ctx)
}
