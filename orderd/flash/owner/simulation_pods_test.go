package owner_test

import (
	"context"
	"sync"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// memberTTL is how long a pod counts as live after its last sign of life.
const memberTTL = 3 * time.Second

// pod is a place in the pool: the process in it is killed and started again. What it believes of
// who owns what changes under it.
type pod struct {
	w     *world
	index int
	name  string
	dice  *dice

	mu      sync.Mutex
	process *process
	// view is who the pod believes owns each partition, version of which news that is.
	view    []int
	version []int
	// lease is until when the pod knows itself a live member.
	lease time.Time
	// deaf until then: no news and no sign of life; paused until then: also nothing gets in or out.
	deaf, paused time.Time
}

// process is one life of a pod.
type process struct {
	pod    *pod
	ctx    context.Context
	kill   context.CancelFunc
	mu     sync.Mutex
	owners map[int32]*owner.Owner
	// log is what the process's owners share, if they append together.
	log   plog.Log
	board *board
}

func newPod(w *world, index int) *pod {
	name := string(rune('a' + index))
	p := &pod{w: w, index: index, name: "pod-" + name, dice: newDice(w.seed, "pod "+name)}
	p.view, p.version = make([]int, w.partitions), make([]int, w.partitions)
	return p
}

// start brings the pod to life, with the newest news.
func (p *pod) start() {
	ctx, kill := context.WithCancel(context.Background())
	p.mu.Lock()
	p.process = &process{pod: p, ctx: ctx, kill: kill, owners: map[int32]*owner.Owner{}, board: newBoard(p.w)}
	process := p.process
	process.log = client{p.w.log, process.gate}
	if p.w.together {
		process.log = plog.Together(process.log)
	}
	p.lease, p.deaf, p.paused = time.Now().Add(memberTTL), time.Time{}, time.Time{}
	for n := range p.view {
		p.view[n], p.version[n] = -1, 0
	}
	p.mu.Unlock()
	p.w.note("%s starts", p.name)
	p.w.members.informAll(p)
	p.w.background.Go(process.run)
	if p.w.broadcasts {
		p.w.background.Go(process.broadcast)
	}
}

func (p *pod) stop() {
	if process := p.alive(); process != nil {
		process.kill()
		p.w.note("%s is killed", p.name)
		p.mu.Lock()
		p.process = nil
		p.mu.Unlock()
	}
}

func (p *pod) alive() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

// hears says whether news reach the pod.
func (p *pod) hears(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process != nil && !now.Before(p.deaf) && !now.Before(p.paused)
}

func (p *pod) live() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.lease)
}

func (p *pod) owns(n int32) bool { return p.believes(n) == p.index }

func (p *pod) believes(n int32) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view[n]
}

// learn has the pod believe the news, unless it knows newer ones.
func (p *pod) learn(n int32, owner, version int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if version <= p.version[n] {
		return
	}
	p.view[n], p.version[n] = owner, version
	p.w.note("%s believes that partition %d is %s's", p.name, n, p.w.pods[owner].name)
	if process := p.process; process != nil {
		time.AfterFunc(p.dice.between(0, 5*time.Millisecond), process.compare)
	}
}

// run renews the lease and compares owners with beliefs from time to time, as the pool does.
func (s *process) run() {
	ticker := time.NewTicker(memberTTL / 3)
	defer ticker.Stop()
	for {
		s.compare()
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		if now := time.Now(); s.pod.hears(now) {
			s.pod.mu.Lock()
			s.pod.lease = now.Add(memberTTL)
			s.pod.mu.Unlock()
		}
	}
}

// compare starts and stops owners so that they are those that the pod believes in.
func (s *process) compare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.pod.w.partitions {
		o := s.owners[n]
		if o != nil {
			select {
			case <-o.Done():
				delete(s.owners, n)
				o = nil
			default:
			}
		}
		owns := s.pod.owns(n)
		switch {
		case s.ctx.Err() != nil:
		case o == nil && owns:
			o = owner.New(s.options(n))
			s.owners[n] = o
			s.pod.w.background.Go(func() { o.Run(s.ctx) })
		case o != nil && !owns:
			o.Stop()
		case o != nil:
			o.Wake()
		}
	}
}

func (s *process) options(n int32) owner.Options {
	w := s.pod.w
	return owner.Options{
		Name: s.pod.name, Partition: n, Promotion: w.promo.Load, Log: s.log, Level: s.level, SoldOut: s.soldOut,
		Owned: func() bool { return s.pod.owns(n) }, Lease: s.pod.live, Peers: s, OrderIDs: w.ids,
		Clock: time.Now, Jitter: s.pod.dice.jitter, Logger: w.logger,
	}
}

// gate lets nothing pass while the process is paused.
func (s *process) gate() {
	s.pod.mu.Lock()
	left := time.Until(s.pod.paused)
	s.pod.mu.Unlock()
	if left <= 0 {
		return
	}
	select {
	case <-s.ctx.Done():
	case <-time.After(left):
	}
}

func (s *process) local(n int32) (*owner.Owner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owners[n]; o != nil {
		return o, nil
	}
	return nil, refusal.NotOwner()
}

// Transfer implements owner.Peers.
func (s *process) Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	ask := func(ctx context.Context, o *owner.Owner) (*flashv1.TransferResponse, error) {
		return o.Transfer(ctx, request)
	}
	return route(ctx, s, request.GetFromPartition(), ask)
}

// route puts a question to the owner of a partition, on this pod or on another one.
func route[T any](
	ctx context.Context, s *process, n int32, ask func(context.Context, *owner.Owner) (T, error),
) (T, error) {
	var none T
	askLocal := func(ctx context.Context, s *process) (T, error) {
		o, err := s.local(n)
		if err != nil {
			return none, err
		}
		return ask(ctx, o)
	}
	switch target := s.pod.believes(n); target {
	case -1:
		return none, refusal.NotOwner()
	case s.pod.index:
		return askLocal(ctx, s)
	default:
		return hop(ctx, s.pod.w, target, askLocal)
	}
}

// enter is what a pod does with a buyer's call: a wrong guess is corrected once.
func enter[T any](
	ctx context.Context, w *world, entry int, n int32, first *flashv1.PlaceFlashOrderRequest,
	ask func(context.Context, *owner.Owner) (T, error),
) (T, error) {
	return hop(ctx, w, entry, func(ctx context.Context, s *process) (T, error) {
		if err := s.refusesFirst(first); err != nil {
			var none T
			return none, err
		}
		answer, err := route(ctx, s, n, ask)
		if rpcerr.Reason(err) == rpcerr.ReasonNotOwner {
			answer, err = route(ctx, s, n, ask)
		}
		return answer, err
	})
}

// hop is a call to a pod over the network.
func hop[T any](ctx context.Context, w *world, to int, serve func(context.Context, *process) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	f := w.weather.call()
	answers := make(chan answer, 1)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if f.arrives {
		time.AfterFunc(f.there, func() {
			process := w.pods[to].alive()
			if process == nil || ctx.Err() != nil {
				return
			}
			// The pod learns that the caller is gone, or goes itself.
			served, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(process.ctx, cancel)()
			process.gate()
			value, err := serve(served, process)
			process.gate()
			if process.ctx.Err() == nil && f.answered {
				time.AfterFunc(f.back, func() { answers <- answer{value, err} })
			}
		})
	}
	select {
	case a := <-answers:
		return a.value, a.err
	case <-f.breaks():
	case <-ctx.Done():
	}
	return none, refusal.PartitionMoving(0)
}
