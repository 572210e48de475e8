package journeys

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/buyers"
)

// journey is one random walk through a shop of its own: goods, buyers, coupons and a campaign that
// no other journey has. It knows what each call has to answer.
type journey struct {
	w    *world
	name string
	// random chooses everything, so that a seed tells what is done; when processes die in it is
	// not the seed's to say.
	random *rand.Rand
	staff  clients

	skus     []*sku
	buyers   []*buyer
	orders   []*order
	promises []*promise
	returns  []*goingBack
	// coupons are of one template, as many as its budget, so many a buyer.
	template      string
	budget, limit int64
	worth         int64
	coupons       []*coupon
	campaign      string

	requests int
	// staffRequests are those that were answered well, by the procedure's last part.
	staffRequests map[string]string
	trace         []string

	killing sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

// broken is what a journey panics with when the model is wrong or orderd is.
type broken struct{ error }

func (j *journey) fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

func (j *journey) must(err error) {
	if err != nil {
		j.fail("%w", err)
	}
}

func (j *journey) logf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trace = append(j.trace,
		fmt.Sprintf("%s %2d  %s", time.Now().Format("05.000"), len(j.trace), fmt.Sprintf(format, args...)))
}

// run makes a journey of its own name and walks it; the error is what went wrong, with all that
// was done until then.
func (w *world) run(name string, seed uint64, walk func(*journey)) (j *journey, err error) {
	j = &journey{
		w:             w,
		name:          name,
		random:        rand.New(rand.NewPCG(seed, 0)),
		staff:         w.staff,
		staffRequests: map[string]string{},
	}
	defer func() {
		j.killing.Wait()
		if r := recover(); r != nil {
			b, ok := r.(broken)
			if !ok {
				panic(r)
			}
			err = b.error
		}
		err = errors.Join(err, j.failed)
		if err != nil {
			err = fmt.Errorf("%s (seed %d): %w\n%s", name, seed, err, strings.Join(j.trace, "\n"))
		}
	}()
	j.open()
	walk(j)
	j.readAll()
	return j, nil
}

// wander does random things, as many as there are steps.
func (j *journey) wander() {
	actions := actions()
	var weights int
	for _, a := range actions {
		weights += a.weight
	}
	for range steps {
		j.maybeKill()
		n := j.random.IntN(weights)
		for _, a := range actions {
			if n -= a.weight; n < 0 {
				a.do(j)
				break
			}
		}
	}
}

// killsIn is how many steps there are to one kill.
const killsIn = 30

// maybeKill has a pod killed now, or a moment later, in the middle of what comes next.
func (j *journey) maybeKill() {
	if j.random.IntN(killsIn) > 0 {
		return
	}
	pods := j.w.pods()
	victim, later := pods[j.random.IntN(len(pods))], j.random.IntN(3) > 0
	delay := time.Duration(j.random.Int64N(int64(25 * time.Millisecond)))
	if !later {
		j.logf("kill %s", victim.name)
		j.must(victim.kill())
		return
	}
	j.logf("kill %s in %v", victim.name, delay)
	j.killing.Add(1)
	time.AfterFunc(delay, func() {
		defer j.killing.Done()
		if err := victim.kill(); err != nil {
			j.mu.Lock()
			j.failed = errors.Join(j.failed, err)
			j.mu.Unlock()
		}
	})
}

func (j *journey) requestID() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests++
	return fmt.Sprintf("%s-%d", j.name, j.requests)
}

// attempt bounds one call; a lost answer is one that is unknown.
const attempt = 12 * time.Second

// ask repeats a call until its answer is known: with the same request id, which is what makes the
// last answer the answer.
func ask[Q, A any](rpc func(context.Context, Q) (A, error), req Q) (answer A, refused error) {
	waited := until(fmt.Sprintf("an answer to %v", req), func() (bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), attempt)
		defer cancel()
		answer, refused = rpc(ctx, req)
		return known(refused), nil
	})
	if waited != nil {
		return answer, errors.Join(waited, refused)
	}
	return answer, refused
}

// known tells whether an answer says what became of the call.
func known(err error) bool {
	// What has no reason is not orderd's word.
	return err == nil || !buyers.Read(err).Again && rpcerr.Reason(err) != ""
}

// expect fails unless the answer is one of the refusals that the model has, or a
// success if it has none.
func (j *journey) expect(err error, refusals ...string) {
	reason := rpcerr.Reason(err)
	switch {
	case err == nil && len(refusals) == 0:
	case err == nil:
		j.fail("%s: succeeded, want one of %v", j.last(), refusals)
	case !slices.Contains(refusals, reason):
		j.fail("%s: %v (%s, %v), want %v", j.last(), err, reason, rpcerr.Metadata(err), refusals)
	default:
		j.logf("  refused: %s", reason)
	}
}

func (j *journey) last() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.trace) == 0 {
		return ""
	}
	return j.trace[len(j.trace)-1]
}

// chance is true once in n.
func (j *journey) chance(n int) bool { return j.random.IntN(n) == 0 }

func (j *journey) between(low, high int64) int64 { return low + j.random.Int64N(high-low+1) }

// one chooses one of those that fit; false if there is none.
func one[T any](j *journey, from []T, fits func(T) bool) (T, bool) {
	var fitting []T
	for _, x := range from {
		if fits(x) {
			fitting = append(fitting, x)
		}
	}
	if len(fitting) == 0 {
		var none T
		return none, false
	}
	return fitting[j.random.IntN(len(fitting))], true
}

func any1[T any](j *journey, from []T) (T, bool) { return one(j, from, func(T) bool { return true }) }
