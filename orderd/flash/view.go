package flash

import (
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
)

// member is a live pod of the pool.
type member struct {
	Name, Address string
}

// promotion is a sale and who owns its partitions. Never changed.
type promotion struct {
	sale *sale.Sale
	// owners by partition; the zero member while none is known.
	owners []member
}

func (p *promotion) ownedBy(n int32, name string) bool {
	return int(n) < len(p.owners) && p.owners[n].Name == name
}

// view is what the pod knows, in one piece that requests read without a lock. Never changed.
type view struct {
	synced  bool
	members []member
	byUID   map[string]*promotion
	byName  map[string]*promotion
}

// pick is rendezvous hashing: the member with the highest hash for the partition. When a member comes
// or goes, only its own partitions move.
func pick(members []member, uid string, n int32) member {
	var best member
	var highest uint64
	suffix := string([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	for _, m := range members {
		if h := partition.Hash(uid, suffix, m.Name); best.Name == "" || h > highest {
			best, highest = m, h
		}
	}
	return best
}

func place(s *sale.Sale, members []member) *promotion {
	p := &promotion{sale: s, owners: make([]member, s.GetPartitions())}
	for n := range s.GetPartitions() {
		p.owners[n] = pick(members, s.GetUid(), n)
	}
	return p
}

// update makes the next view; change gets a copy whose maps and slices it may replace.
func (p *Pool) update(change func(*view)) {
	p.viewMu.Lock()
	next := *p.view.Load()
	change(&next)
	p.view.Store(&next)
	p.viewMu.Unlock()
	p.notify()
}

// setSales replaces all promotions' sales.
func (v *view) setSales(sales map[string]*sale.Sale) {
	v.byUID = make(map[string]*promotion, len(sales))
	v.byName = make(map[string]*promotion, len(sales))
	for uid, s := range sales {
		p := place(s, v.members)
		v.byUID[uid] = p
		// A promotion that was made again under its old name has the later start or is not closed.
		if other := v.byName[s.GetName()]; other == nil || newer(s, other.sale) {
			v.byName[s.GetName()] = p
		}
	}
}

func newer(a, b *sale.Sale) bool {
	if a.GetClosed() != b.GetClosed() {
		return b.GetClosed()
	}
	return a.GetStartUnixMs() > b.GetStartUnixMs()
}

// sales are the view's promotions, in a map of the caller's own.
func (v *view) sales() map[string]*sale.Sale {
	sales := make(map[string]*sale.Sale, len(v.byUID))
	for uid, p := range v.byUID {
		sales[uid] = p.sale
	}
	return sales
}

func (p *Pool) promotionsHandler() watch.Handler {
	return watch.Handler{
		Put: func(uid string, value []byte, _ time.Time) {
			next := &flashv1.Promotion{}
			if err := proto.Unmarshal(value, next); err != nil || next.GetUid() != uid || next.GetPartitions() < 1 {
				p.Logger.Error("promotion cannot be read", "promotion", uid, "error", err)
				return
			}
			if known := p.view.Load().byUID[uid]; known != nil && proto.Equal(known.sale.Promotion, next) {
				return
			}
			p.update(func(v *view) {
				sales := v.sales()
				sales[uid] = sale.New(next)
				v.setSales(sales)
			})
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
