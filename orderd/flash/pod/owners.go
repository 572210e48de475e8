package pod

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/route"
)

// idleAfter is how long the owner of a closed partition stays after its last call.
const idleAfter = 10 * time.Minute

// ownerKey names a partition.
type ownerKey struct {
	uid string
	n   int32
}

// logKey names a promotion's stream.
type logKey struct {
	uid    string
	stream int32
}

// ownerSet is the owners that this pod runs, and the logs that they share. Make it with
// newOwnerSet, and set what is above draining, before open. Safe for concurrent use.
type ownerSet struct {
	// name of the pod.
	name string
	js   jetstream.JetStream
	// sharedLogs says that the owners of a stream's partitions share its log: several servers write
	// a batch at the price of one record.
	sharedLogs bool
	// wrapLog, if set, stands between the owners and their logs.
	wrapLog func(plog.Log) plog.Log
	clock   func() time.Time
	// current is the promotion with a uid as the pod knows it now; nil if it knows none.
	current func(uid string) *route.Placed
	// complete adds to an owner's options what the set does not know.
	complete func(ownerKey, owner.Options) owner.Options

	// draining says that no owner is started any more, and those there are have lost their
	// partitions.
	draining atomic.Bool
	running  sync.WaitGroup

	// mu guards what follows.
	mu sync.RWMutex
	// ctx is what owners run in; nil before open.
	ctx    context.Context
	owners map[ownerKey]*owner.Owner
	logs   map[logKey]plog.Log
}

func newOwnerSet() *ownerSet {
	return &ownerSet{owners: map[ownerKey]*owner.Owner{}, logs: map[logKey]plog.Log{}}
}

// open lets owners run, until ctx ends.
func (s *ownerSet) open(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = ctx
}

// wait returns when all owners have ended. None may be started any more.
func (s *ownerSet) wait() { s.running.Wait() }

func (s *ownerSet) get(key ownerKey) *owner.Owner {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.owners[key]
}

// local is the running owner of a partition; nil if the set has none. The owner of a closed
// partition is started when it is needed.
func (s *ownerSet) local(target route.Target) *owner.Owner {
	key := ownerKey{target.Placed.GetUid(), target.Partition}
	if o := s.get(key); o != nil {
		return o
	}
	if target.Placed.GetClosed() && target.OwnedBy(s.name) {
		s.start(key, target.Placed.Promotion)
		return s.get(key)
	}
	return nil
}

// served are the partitions of a promotion that this pod has to serve: its own ones
// of an open promotion.
func (s *ownerSet) served(placed *route.Placed) []route.Target {
	if !placed.GetOpen() || placed.GetClosed() {
		return nil
	}
	var own []route.Target
	for n := range placed.GetPartitions() {
		if target := (route.Target{Placed: placed, Partition: n}); target.OwnedBy(s.name) {
			own = append(own, target)
		}
	}
	return own
}

// owned says whether the pod knows a partition as its own.
func (s *ownerSet) owned(key ownerKey) bool {
	placed := s.current(key.uid)
	return placed != nil && placed.OwnedBy(key.n, s.name)
}

// reconcile starts and stops owners so that they are those of the view.
func (s *ownerSet) reconcile(v *view) {
	s.stopForeign(v)
	for uid, placed := range v.byUID {
		for _, target := range s.served(placed) {
			s.start(ownerKey{uid, target.Partition}, placed.Promotion)
		}
	}
}

// stopForeign stops owners that are not the view's, or that nobody needs, and forgets what has ended.
func (s *ownerSet) stopForeign(v *view) {
	now := s.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.owners {
		select {
		case <-o.Done():
			delete(s.owners, key)
			continue
		default:
		}
		placed := v.byUID[key.uid]
		idle := placed != nil && placed.GetClosed() && now.Sub(o.Used()) > idleAfter
		if placed == nil || idle || !placed.OwnedBy(key.n, s.name) {
			o.Stop()
		}
	}
	for key := range s.logs {
		if v.byUID[key.uid] == nil {
			delete(s.logs, key)
		}
	}
}

// start runs an owner unless there is one, or the pod leaves.
func (s *ownerSet) start(key ownerKey, first *promotion.Promotion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners[key] != nil || s.draining.Load() || s.ctx == nil || s.ctx.Err() != nil {
		return
	}
	o := owner.New(s.complete(key, owner.Options{
		Name: s.name, Partition: key.n, Log: s.log(first, first.StreamOf(key.n)),
		Promotion: func() *promotion.Promotion {
			if placed := s.current(key.uid); placed != nil {
				return placed.Promotion
			}
			return first
		},
		Owned: func() bool { return !s.draining.Load() && s.owned(key) },
	}))
	s.owners[key] = o
	ctx := s.ctx
	// One that ends by itself is started again by the next regular comparison, not at once.
	s.running.Go(func() { o.Run(ctx) })
}

// log is the one of a stream's partitions. The caller holds mu.
func (s *ownerSet) log(promo *promotion.Promotion, stream int32) plog.Log {
	var log plog.Log = plog.New(s.js, promo.Promotion)
	if s.sharedLogs {
		key := logKey{promo.GetUid(), stream}
		if s.logs[key] == nil {
			s.logs[key] = plog.Together(log)
		}
		log = s.logs[key]
	}
	if s.wrapLog != nil {
		log = s.wrapLog(log)
	}
	return log
}

// wake has the owners of a promotion that changed look at it.
func (s *ownerSet) wake(uid string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key, o := range s.owners {
		if key.uid == uid {
			o.Wake()
		}
	}
}

// stop ends all owners, and waits for those that there are, or until ctx ends.
func (s *ownerSet) stop(ctx context.Context) {
	s.mu.Lock()
	owners := make([]*owner.Owner, 0, len(s.owners))
	for _, o := range s.owners {
		o.Stop()
		owners = append(owners, o)
	}
	s.mu.Unlock()
	for _, o := range owners {
		select {
		case <-o.Done():
		case <-ctx.Done():
			return
		}
	}
}

// readings are the levels of the partitions that the pod serves, for each of the view's promotions.
// Those whose owner does not answer before ctx ends are left out.
func (s *ownerSet) readings(ctx context.Context, v *view) map[string][]levels.Reading {
	readings := make(map[string][]levels.Reading, len(v.byUID))
	for uid := range v.byUID {
		readings[uid] = nil
	}
	var group sync.WaitGroup
	// mu guards readings from here on.
	var mu sync.Mutex
	for uid, placed := range v.byUID {
		for _, target := range s.served(placed) {
			o := s.get(ownerKey{uid, target.Partition})
			if o == nil || !o.Serving() {
				continue
			}
			group.Go(func() {
				read, err := o.Levels(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				readings[uid] = append(readings[uid], levels.Reading{Partition: target.Partition, Levels: read})
			})
		}
	}
	group.Wait()
	return readings
}
