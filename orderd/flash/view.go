package flash

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
)

// member is a live pod of the pool.
type member struct {
	Name string
	// Address of its PeerService, ServiceAddress of its FlashService; the latter is empty if the pod does not say.
	Address, ServiceAddress string
}

// placed is a promotion and who owns its partitions. Never changed.
type placed struct {
	sale *promotion.Promotion
	// owners by partition; the zero member while none is known.
	owners []member
	// routes by partition: what a gateway comes to the owner by. Empty while no members are known.
	routes []string
	// by are the members that it was placed on.
	by *placement.Members
}

func (p *placed) ownedBy(n int32, name string) bool {
	return int(n) < len(p.owners) && p.owners[n].Name == name
}

// view is what the pod knows, in one piece that requests read without a lock. Never changed.
type view struct {
	synced bool
	// members by name; placement is theirs.
	members   []member
	placement *placement.Members
	byUID     map[string]*placed
	byName    map[string]*placed
}

// setMembers replaces the members, and all promotions with them.
func (v *view) setMembers(members []member) {
	v.members, v.placement = members, placement.NewMembers(addresses(members))
	v.setSales(v.sales())
}

// addresses are what the members are placed by: those that gateways know them by, if they are different for all of them.
func addresses(members []member) []string {
	addresses := make([]string, len(members))
	taken := make(map[string]struct{}, len(members))
	for i, m := range members {
		addresses[i] = m.ServiceAddress
		taken[m.ServiceAddress] = struct{}{}
	}
	if _, none := taken[""]; none || len(taken) < len(members) {
		for i, m := range members {
			addresses[i] = m.Name
		}
	}
	return addresses
}

func place(s *promotion.Promotion, members []member, by *placement.Members) *placed {
	p := &placed{sale: s, owners: make([]member, s.GetPartitions()), by: by}
	if len(members) == 0 {
		return p
	}
	placed := by.Place(s.GetName(), s.GetPartitions())
	for n, i := range placed.Owners {
		p.owners[n] = members[i]
	}
	p.routes = placed.Routes
	return p
}

// update makes the next view; change gets a copy whose maps and slices it may replace.
func (p *Pool) update(change func(*view)) {
	p.viewMu.Lock()
	next := *p.view.Load()
	change(&next)
	p.view.Store(&next)
	p.board.table.SetSales(next.sales())
	p.viewMu.Unlock()
	p.notify()
}

// setSales replaces all promotions' sales. What did not change is not placed again.
func (v *view) setSales(sales map[string]*promotion.Promotion) {
	known := v.byUID
	v.byUID = make(map[string]*placed, len(sales))
	v.byName = make(map[string]*placed, len(sales))
	for uid, s := range sales {
		p := known[uid]
		if p == nil || p.sale != s || p.by != v.placement {
			p = place(s, v.members, v.placement)
		}
		v.byUID[uid] = p
		// A promotion that was made again under its old name has the later start or is not closed.
		if other := v.byName[s.GetName()]; other == nil || newer(s, other.sale) {
			v.byName[s.GetName()] = p
		}
	}
}

func newer(a, b *promotion.Promotion) bool {
	if a.GetClosed() != b.GetClosed() {
		return b.GetClosed()
	}
	return a.GetStartUnixMs() > b.GetStartUnixMs()
}

// sales are the view's promotions, in a map of the caller's own.
func (v *view) sales() map[string]*promotion.Promotion {
	sales := make(map[string]*promotion.Promotion, len(v.byUID))
	for uid, p := range v.byUID {
		sales[uid] = p.sale
	}
	return sales
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

func (p *Pool) promotionsHandler() watch.Handler {
	return watch.Handler{
		Put: func(uid string, value []byte, _ time.Time) {
			next := &flashv1.Promotion{}
			err := proto.Unmarshal(value, next)
			if err == nil {
				err = check(uid, next)
			}
			if err != nil {
				p.Logger.Error("promotion cannot be read", "promotion", uid, "error", err)
				return
			}
			if known := p.view.Load().byUID[uid]; known != nil && proto.Equal(known.sale.Promotion, next) {
				return
			}
			p.update(func(v *view) {
				sales := v.sales()
				sales[uid] = promotion.New(next)
				v.setSales(sales)
			})
			p.wake(uid)
		},
		Delete: func(uid string) {
			if p.view.Load().byUID[uid] == nil {
				return
			}
			p.update(func(v *view) {
				sales := v.sales()
				delete(sales, uid)
				v.setSales(sales)
			})
		},
		Synced: func(uids map[string]struct{}) {
			p.update(func(v *view) {
				sales := v.sales()
				for uid := range sales {
					if _, there := uids[uid]; !there {
						delete(sales, uid)
					}
				}
				v.setSales(sales)
				p.salesSeen = true
				v.synced = p.salesSeen && len(v.members) > 0
			})
		},
	}
}
