package flash

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
)

// renewEvery is a quarter of the entries' time to live: a pod may miss two renewals and be late with the third.
const renewEvery = provision.MemberTTL / 4

// membership keeps the pod's own entry alive and follows those of the others.
type membership struct {
	pool  *Pool
	beats *heartbeats
	// renewed is when the last renewal that succeeded was sent, by Pool.elapsed.
	renewed atomic.Int64

	mu     sync.Mutex
	bucket jetstream.KeyValue
	left   bool

	// roster belongs to the watch's goroutine.
	roster *roster
}

func newMembership(p *Pool) *membership {
	m := &membership{pool: p, beats: &heartbeats{clock: &p.clock}, roster: newRoster(p.Name)}
	m.renewed.Store(int64(-2 * provision.MemberTTL))
	return m
}

// lease says that no other pod can have taken this one's partitions for want of a sign of life.
func (m *membership) lease() bool {
	return m.pool.elapsed()-time.Duration(m.renewed.Load()) < provision.MemberTTL
}

// heartbeat renews the own entry until ctx ends.
func (m *membership) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		if err := m.renew(ctx); err != nil && ctx.Err() == nil {
			m.pool.Logger.Warn("membership was not renewed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *membership) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provision.MemberTTL)
	defer cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return nil
	}
	if m.bucket == nil {
		// The bucket is in memory: it may be gone together with the server that held it.
		if err := provision.EnsureBuckets(ctx, m.pool.JetStream, m.pool.Replicas); err != nil {
			return err
		}
		bucket, err := m.pool.JetStream.KeyValue(ctx, provision.MembersBucket)
		if err != nil {
			return fmt.Errorf("opening bucket %s: %w", provision.MembersBucket, err)
		}
		m.bucket = bucket
	}
	value, err := proto.Marshal(&flashv1.Member{Name: m.pool.Name, Address: m.pool.Advertise, ServiceAddress: m.pool.ServiceAddress})
	if err != nil {
		return fmt.Errorf("encoding the own membership: %w", err)
	}
	sent := m.pool.elapsed()
	revision, err := m.bucket.Put(ctx, m.pool.Name, value)
	if err != nil {
		m.bucket = nil
		return fmt.Errorf("writing the own membership: %w", err)
	}
	m.renewed.Store(int64(sent))
	m.beats.wrote(renewal{revision: revision, sent: sent, done: m.pool.elapsed()})
	return nil
}

// leave removes the own entry; the pod does not come back.
func (m *membership) leave(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = true
	if m.bucket != nil {
		if err := m.bucket.Delete(ctx, m.pool.Name); err != nil {
			m.pool.Logger.Warn("membership was not removed; it expires", "error", err)
		}
	}
	m.pool.update(func(v *view) {
		v.setMembers(without(v.members, m.pool.Name))
	})
}

func without(members []member, name string) []member {
	rest := make([]member, 0, len(members))
	for _, m := range members {
		if m.Name != name {
			rest = append(rest, m)
		}
	}
	return rest
}

func (m *membership) handler() watch.Handler {
	return watch.Handler{
		Stored: func(name string, revision uint64, stored time.Time) {
			if name == m.pool.Name {
				m.beats.saw(sighting{revision: revision, at: m.pool.elapsed(), stored: stored})
			}
		},
		Put: func(name string, value []byte, stored time.Time) {
			var entry flashv1.Member
			if err := proto.Unmarshal(value, &entry); err != nil || entry.GetName() != name {
				m.pool.Logger.Error("member cannot be read", "member", name, "error", err)
				return
			}
			m.roster.put(member{name, entry.GetAddress(), entry.GetServiceAddress()}, stored, m.pool.elapsed())
			m.publish()
		},
		Delete: func(name string) {
			m.roster.left(name)
			m.publish()
		},
		Expired: func(name string) {
			m.roster.expire(name, m.pool.elapsed())
			m.publish()
		},
		// Keys that are gone were deleted, or with a bucket that its members now fill again.
		Synced: func(map[string]struct{}) { m.publish() },
	}
}

// publish puts the members into the view.
func (m *membership) publish() {
	members, ok := m.roster.members()
	if m.pool.draining.Load() {
		// The own entry goes, and is not missed.
		members, ok = without(m.roster.all(), m.pool.Name), true
	}
	if !ok || slices.Equal(members, m.pool.view.Load().members) {
		return
	}
	m.pool.update(func(v *view) {
		v.setMembers(members)
		v.synced = m.pool.salesSeen && len(members) > 0
	})
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = member.Name
	}
	m.pool.Logger.Info("members changed", "members", names)
}
