// Package members knows who the live pods of the flash pool are, and what time it is for all of them.
//
// Each pod keeps an entry in a bucket alive, and follows those of the others. What holds:
//   - While [Members.Lease] is true, no other pod counts this one as gone.
//   - A pod whose own entry is missing keeps what it knew of the others: their entries may be
//     missing for the same reason.
//   - [Members.Now] is never ahead of the time of the servers that hold the bucket.
package members

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
)

// renewEvery is a quarter of the entries' time to live: a pod may miss two renewals and be
// late with the third.
const renewEvery = prepare.MemberTTL / 4

// Member is a live pod of the pool.
type Member struct {
	Name string
	// Address is the host:port of its PeerService.
	Address string
	// ServiceAddress is the host:port of its FlashService; empty if the pod does not say.
	ServiceAddress string
}

// Options of [New]. What is not said to be optional is needed.
type Options struct {
	JetStream jetstream.JetStream
	// Replicas of the members' bucket, should it have to be made.
	Replicas int
	// Own is the pod itself.
	Own Member
	// Changed gets the live pods by name each time that they are other ones; it must not keep the
	// caller waiting. The pod itself is among them until it leaves. Calls do not overlap.
	Changed func([]Member)
	// Clock is the pod's own.
	Clock func() time.Time
	// ClusterClock, if set, stands in for the cluster's clock, for tests that set the time.
	ClusterClock func() time.Time
	// MaxSkew is how far the pod's clock may be from the cluster's; 0: 500 ms.
	MaxSkew time.Duration
	// Jitter spreads a delay at random around itself; safe for concurrent use.
	Jitter func(time.Duration) time.Duration
	Logger *slog.Logger
	// Registerer of the metrics; optional.
	Registerer prometheus.Registerer
}

// Members of the pool, as one of them knows them. Make it with [New], then [Members.Run] it.
type Members struct {
	js       jetstream.JetStream
	replicas int
	own      Member
	changed  func([]Member)
	jitter   func(time.Duration) time.Duration
	log      *slog.Logger
	time     *clusterTime
	beats    *beats
	// renewed is when the last renewal that succeeded was sent, by the pod's monotonic clock.
	renewed atomic.Int64
	leaving atomic.Bool

	// entryMu guards the own entry.
	entryMu sync.Mutex
	bucket  jetstream.KeyValue
	left    bool

	// publishMu guards published, which is what Changed was told last.
	publishMu sync.Mutex
	published []Member

	// roster belongs to the watch's goroutine.
	roster *roster
}

// New does no I/O. It fails if the registerer has a pod's metrics already.
func New(options Options) (*Members, error) {
	clusterTime, err := newClusterTime(options)
	if err != nil {
		return nil, err
	}
	m := &Members{
		js: options.JetStream, replicas: options.Replicas, own: options.Own, changed: options.Changed,
		jitter: options.Jitter, log: options.Logger,
		time: clusterTime, beats: &beats{clock: &clusterTime.cluster}, roster: newRoster(options.Own.Name),
	}
	m.renewed.Store(int64(-2 * prepare.MemberTTL))
	return m, nil
}

// Run is a member, and follows the others, until ctx ends. [Members.Leave] before for a graceful end.
func (m *Members) Run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { m.renewUntilEnd(ctx) })
	watch.Bucket(ctx, m.js, prepare.MembersBucket, m.jitter, m.log, m.handler())
	group.Wait()
}

// Lease says that no other pod can have taken this one's partitions for want of a sign of life.
func (m *Members) Lease() bool {
	return m.time.elapsed()-time.Duration(m.renewed.Load()) < prepare.MemberTTL
}

// Now is the cluster's time, never ahead of it, and false while it is not known: then
// nothing may be accepted.
func (m *Members) Now() (time.Time, bool) { return m.time.now() }

// Ready is nil if the pod's clock is known to be near the cluster's, else [ErrNoTime] or [ErrSkewed].
func (m *Members) Ready() error { return m.time.check() }

func (m *Members) renewUntilEnd(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		if err := m.renew(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("membership was not renewed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *Members) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepare.MemberTTL)
	defer cancel()
	m.entryMu.Lock()
	defer m.entryMu.Unlock()
	if m.left {
		return nil
	}
	if m.bucket == nil {
		// The bucket is in memory: it may be gone together with the server that held it.
		if err := prepare.EnsurePodBuckets(ctx, m.js, m.replicas); err != nil {
			return err
		}
		bucket, err := m.js.KeyValue(ctx, prepare.MembersBucket)
		if err != nil {
			return fmt.Errorf("opening bucket %s: %w", prepare.MembersBucket, err)
		}
		m.bucket = bucket
	}
	value, err := proto.Marshal(&flashv1.Member{
		Name: m.own.Name, Address: m.own.Address, ServiceAddress: m.own.ServiceAddress,
	})
	if err != nil {
		return fmt.Errorf("encoding the own membership: %w", err)
	}
	sent := m.time.elapsed()
	revision, err := m.bucket.Put(ctx, m.own.Name, value)
	if err != nil {
		m.bucket = nil
		return fmt.Errorf("writing the own membership: %w", err)
	}
	m.renewed.Store(int64(sent))
	m.beats.wrote(renewal{revision: revision, sent: sent, done: m.time.elapsed()})
	return nil
}

// Leave removes the own entry; the pod does not come back.
func (m *Members) Leave(ctx context.Context) {
	m.leaving.Store(true)
	m.entryMu.Lock()
	defer m.entryMu.Unlock()
	m.left = true
	if m.bucket != nil {
		if err := m.bucket.Delete(ctx, m.own.Name); err != nil {
			m.log.Warn("membership was not removed; it expires", "error", err)
		}
	}
	m.publishMu.Lock()
	defer m.publishMu.Unlock()
	m.publish(without(m.published, m.own.Name))
}

func without(members []Member, name string) []Member {
	rest := make([]Member, 0, len(members))
	for _, m := range members {
		if m.Name != name {
			rest = append(rest, m)
		}
	}
	return rest
}

func (m *Members) handler() watch.Handler {
	return watch.Handler{
		Stored: func(name string, revision uint64, stored time.Time) {
			if name == m.own.Name {
				m.beats.saw(sighting{revision: revision, at: m.time.elapsed(), stored: stored})
			}
		},
		Put: func(name string, value []byte, stored time.Time) {
			var entry flashv1.Member
			if err := proto.Unmarshal(value, &entry); err != nil || entry.GetName() != name {
				m.log.Error("member cannot be read", "member", name, "error", err)
				return
			}
			member := Member{Name: name, Address: entry.GetAddress(), ServiceAddress: entry.GetServiceAddress()}
			m.roster.put(member, stored, m.time.elapsed())
			m.follow()
		},
		Delete: func(name string) {
			m.roster.left(name)
			m.follow()
		},
		Expired: func(name string) {
			m.roster.expire(name, m.time.elapsed())
			m.follow()
		},
		// Keys that are gone were deleted, or with a bucket that its members now fill again.
		Synced: func(map[string]struct{}) { m.follow() },
	}
}

// follow publishes what the roster says.
func (m *Members) follow() {
	m.publishMu.Lock()
	defer m.publishMu.Unlock()
	if m.leaving.Load() {
		// The own entry goes, and is not missed.
		m.publish(without(m.roster.all(), m.own.Name))
	} else if members, ok := m.roster.members(); ok {
		m.publish(members)
	}
}

// publish tells of the members, if they are other ones. The caller holds publishMu.
func (m *Members) publish(members []Member) {
	if slices.Equal(members, m.published) {
		return
	}
	m.published = members
	m.changed(members)
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = member.Name
	}
	m.log.Info("members changed", "members", names)
}
