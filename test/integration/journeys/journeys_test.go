package journeys

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	// seedsVariable, as FIRST:COUNT, runs other journeys than the ones of every test run.
	seedsVariable = "ORDERD_JOURNEY_SEEDS"
	// steps of a journey.
	steps = 150
	// together is how many journeys share an orderd, and its killed pods, at the same time.
	together = 6
)

// seeds of every test run.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	first, count := uint64(1), 8
	if raw := os.Getenv(seedsVariable); raw != "" {
		from, n, ok := strings.Cut(raw, ":")
		var err error
		if first, err = strconv.ParseUint(from, 10, 64); err == nil && ok {
			count, err = strconv.Atoi(n)
		}
		if err != nil || !ok {
			t.Fatalf("%s=%q: want FIRST:COUNT", seedsVariable, raw)
		}
	}
	var out []uint64
	for n := range count {
		out = append(out, first+uint64(n))
	}
	return out
}

// TestJourneys walks many buyers' journeys at once while pods are killed, and audits the
// database when all is quiet.
func TestJourneys(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	all := seeds(t)
	t.Logf("journeys of %d steps by seeds %d to %d", steps, all[0], all[len(all)-1])
	var known []*journey
	for name, walk := range cases() {
		j, err := w.run(fmt.Sprintf("case%d", len(known)), 0, walk)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		known = append(known, j)
	}
	clear := w.weather(all[0])
	journeys, err := w.walk(all)
	clear()
	t.Logf("%d faults around orderd: %v", len(w.faults), w.faults)
	for _, p := range w.pods() {
		t.Logf("%s was killed %d times", p.name, p.kills)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.audit(append(known, journeys...))
}

// walk runs journeys, some of them at once.
func (w *world) walk(seeds []uint64) ([]*journey, error) {
	journeys, errs := make([]*journey, len(seeds)), make([]error, len(seeds))
	slots := make(chan struct{}, together)
	var wg sync.WaitGroup
	for i, seed := range seeds {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			journeys[i], errs[i] = w.run(fmt.Sprintf("j%d", seed), seed, (*journey).wander)
		})
	}
	wg.Wait()
	return journeys, errors.Join(errs...)
}
