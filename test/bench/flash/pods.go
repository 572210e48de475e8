package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

const (
	mostPods = 3
	// podRounds take turns between the ways to route.
	podRounds = 2
	// podPartitions are those of the sale; by hash, so that one pod may own more than another.
	podPartitions = 6
)

// pool is a flash pool of its own, whose pods are limited, so that one more can add something
// on the same machine.
type pool struct {
	nats *proc.Child
	conn *nats.Conn
	js   jetstream.JetStream
	pods []*proc.Child
}

// morePods measures what a second and a third pod add to unary calls: with callers who send to any
// pod (at worst, most calls have to be forwarded), and with callers who send to the one that owns
// the buyer's partition, as a gateway does (at best none).
func (b *bench) morePods(ctx context.Context) error {
	p := &pool{}
	defer p.stop()
	var err error
	if p.nats, err = b.startNATS(ctx, "pool"); err != nil {
		return err
	}
	if p.conn, err = nats.Connect(p.nats.URL, nats.MaxReconnects(-1)); err != nil {
		return err
	}
	if p.js, err = jetstream.New(p.conn); err != nil {
		return err
	}
	if err := sale.EnsureBuckets(ctx, p.js, replicas); err != nil {
		return err
	}
	for len(p.pods) < mostPods {
		n := len(p.pods)
		pod, err := b.startPod(ctx, spec{Kind: kindPod, Name: "pool-" + strconv.Itoa(n)}, p.nats.URL, b.groups.pool[n])
		if err != nil {
			return err
		}
		p.pods = append(p.pods, pod)
		for range podRounds {
			if err := b.podRound(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pool) stop() {
	for _, pod := range p.pods {
		pod.Stop()
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.nats.Stop()
}

// podRound measures both ways to route; with one pod they are the same.
func (b *bench) podRound(ctx context.Context, p *pool) error {
	servers := append(slices.Clone(p.pods), p.nats)
	anywhere := make([]string, len(p.pods))
	for i, pod := range p.pods {
		anywhere[i] = pod.URL
	}
	for _, owners := range []bool{false, true} {
		s, err := newSale(ctx, p.js, podPartitions, plenty)
		if err != nil {
			return err
		}
		if err := s.open(ctx, b.token, p.pods); err != nil {
			return err
		}
		name, o, call := fmt.Sprintf("pods_%d_random", len(p.pods)), load.Options{
			URLs:    anywhere,
			Servers: servers,
		}, buyers(s.GetName(), overloaded)
		if owners {
			name = fmt.Sprintf("pods_%d_owner", len(p.pods))
			if o.URLs, err = p.owners(ctx, s); err != nil {
				return err
			}
			call = buyersOf(s)
		}
		if _, err := b.phaseOf(ctx, name, o, call); err != nil {
			return err
		}
		if err := s.end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// buyersOf calls for buyers of one partition a caller: the caller's number modulo the partitions.
func buyersOf(s *flashSale) load.Call {
	run := fmt.Sprintf("%06x", rand.Uint32N(1<<24))
	partitions := s.GetPartitions()
	return func(caller, n int) (proto.Message, load.Check) {
		// On average so many names are tried as there are partitions.
		for try := 0; ; try++ {
			name := buyerName(run, caller, n<<16|try)
			if partition.ForBuyer(name, partitions) == int32(caller)%partitions {
				return place1(s.GetName(), name), overloaded
			}
		}
	}
}

// owners are the URLs of the pods that own the sale's partitions, in their order, as the pods
// themselves and gateways find them.
func (p *pool) owners(ctx context.Context, s *flashSale) ([]string, error) {
	bucket, err := p.js.KeyValue(ctx, prepare.MembersBucket)
	if err != nil {
		return nil, err
	}
	keys, err := bucket.Keys(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	urls, addresses := make([]string, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		entry, err := bucket.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		var member flashv1.Member
		if err := proto.Unmarshal(entry.Value(), &member); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(strings.TrimPrefix(member.GetName(), "pool-"))
		if err != nil || n >= len(p.pods) {
			return nil, fmt.Errorf("there is a pod %q in the pool", member.GetName())
		}
		urls[i], addresses[i] = p.pods[n].URL, member.GetServiceAddress()
	}
	owners := make([]string, s.GetPartitions())
	for n, i := range placement.NewMembers(addresses).Place(s.GetName(), s.GetPartitions()).Owners {
		owners[n] = urls[i]
	}
	return owners, nil
}
