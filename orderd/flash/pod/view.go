package pod

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/members"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
)

// view is what the pod knows, in one piece that requests read without a lock. Never changed.
type view struct {
	// synced says that promotions and members are known.
	synced bool
	// members by name; placement is theirs.
	members   []members.Member
	placement *placement.Members
	byUID     map[string]*route.Placed
	byName    map[string]*route.Placed
}

// setMembers replaces the members, and all promotions with them.
func (v *view) setMembers(pods []members.Member) {
	v.members, v.placement = pods, placement.NewMembers(addresses(pods))
	v.setPromotions(v.promotions())
}

// addresses are what the members are placed by: those that gateways know them by, if they are
// different for all of them.
func addresses(pods []members.Member) []string {
	addresses := make([]string, len(pods))
	taken := make(map[string]struct{}, len(pods))
	for i, m := range pods {
		addresses[i] = m.ServiceAddress
		taken[m.ServiceAddress] = struct{}{}
	}
	if _, none := taken[""]; none || len(taken) < len(pods) {
		for i, m := range pods {
			addresses[i] = m.Name
		}
	}
	return addresses
}

// setPromotions replaces all promotions. What did not change is not placed again.
func (v *view) setPromotions(promotions map[string]*promotion.Promotion) {
	known := v.byUID
	v.byUID = make(map[string]*route.Placed, len(promotions))
	v.byName = make(map[string]*route.Placed, len(promotions))
	for uid, promo := range promotions {
		placed := known[uid]
		if placed == nil || placed.Promotion != promo || placed.By != v.placement {
			placed = route.NewPlaced(promo, v.members, v.placement)
		}
		v.byUID[uid] = placed
		// A promotion that was made again under its old name has the later start or is not closed.
		if other := v.byName[promo.GetName()]; other == nil || newer(promo, other.Promotion) {
			v.byName[promo.GetName()] = placed
		}
	}
}

func newer(a, b *promotion.Promotion) bool {
	if a.GetClosed() != b.GetClosed() {
		return b.GetClosed()
	}
	return a.GetStartUnixMs() > b.GetStartUnixMs()
}

// promotions are the view's, by uid, in a map of the caller's own.
func (v *view) promotions() map[string]*promotion.Promotion {
	promotions := make(map[string]*promotion.Promotion, len(v.byUID))
	for uid, placed := range v.byUID {
		promotions[uid] = placed.Promotion
	}
	return promotions
}

// views are the pod's view and how it changes. Safe for concurrent use.
type views struct {
	latest atomic.Pointer[view]
	// changed gets the promotions of each new view, in a map of its own.
	changed func(map[string]*promotion.Promotion)

	// mu is held while the next view is made, and guards promotionsRead.
	mu sync.Mutex
	// promotionsRead says that all promotions were read.
	promotionsRead bool
}

func newViews(changed func(map[string]*promotion.Promotion)) *views {
	s := &views{changed: changed}
	s.latest.Store(&view{})
	return s
}

func (s *views) load() *view { return s.latest.Load() }

// update makes the next view; change gets a copy whose maps and slices it may replace.
func (s *views) update(change func(*view)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.latest.Load()
	change(&next)
	next.synced = next.synced || s.promotionsRead && len(next.members) > 0
	s.latest.Store(&next)
	s.changed(next.promotions())
}

func (s *views) setMembers(pods []members.Member) {
	s.update(func(v *view) { v.setMembers(pods) })
}

// promotionsHandler follows the bucket of promotions. Wake is called with the uid of each that
// changed.
func (s *views) promotionsHandler(log *slog.Logger, wake func(uid string)) watch.Handler {
	return watch.Handler{
		Put: func(uid string, value []byte, _ time.Time) {
			next := &flashv1.Promotion{}
			err := proto.Unmarshal(value, next)
			if err == nil {
				err = check(uid, next)
			}
			if err != nil {
				log.Error("promotion cannot be read", "promotion", uid, "error", err)
				return
			}
			if known := s.load().byUID[uid]; known != nil && proto.Equal(known.Promotion.Promotion, next) {
				return
			}
			s.update(func(v *view) {
				promotions := v.promotions()
				promotions[uid] = promotion.New(next)
				v.setPromotions(promotions)
			})
			wake(uid)
		},
		Delete: func(uid string) {
			if s.load().byUID[uid] == nil {
				return
			}
			s.update(func(v *view) {
				promotions := v.promotions()
				delete(promotions, uid)
				v.setPromotions(promotions)
			})
		},
		Synced: s.keepOnly,
	}
}

// keepOnly forgets the promotions that are not among all there are.
func (s *views) keepOnly(uids map[string]struct{}) {
	s.update(func(v *view) {
		promotions := v.promotions()
		for uid := range promotions {
			if _, there := uids[uid]; !there {
				delete(promotions, uid)
			}
		}
		v.setPromotions(promotions)
		s.promotionsRead = true
	})
}

// check refuses a promotion whose requests would lead to no partition.
func check(uid string, p *flashv1.Promotion) error {
	streams := max(1, int32(len(p.GetStreams())))
	if p.GetUid() != uid || p.GetPartitions() < 1 || p.GetPartitions()%streams != 0 {
		return fmt.Errorf("promotion %q has %d partitions in %d streams", p.GetUid(), p.GetPartitions(), streams)
	}
	for _, item := range p.GetItems() {
		if item.GetStream() < 0 || item.GetStream() >= streams {
			return fmt.Errorf("item %s is in stream %d of %d", item.GetSku(), item.GetStream(), streams)
		}
	}
	return nil
}
