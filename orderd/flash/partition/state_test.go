package partition_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

func opened(items ...*flashv1.ItemQuantity) *flashv1.Record {
	return &flashv1.Record{Kind: &flashv1.Record_Opened{Opened: &flashv1.Opened{Items: items}}}
}

func quantity(sku string, q int64) *flashv1.ItemQuantity {
	return &flashv1.ItemQuantity{Sku: sku, Quantity: q}
}

func orderID(n uint64) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func reservation(n uint64, request string, items ...partition.RequestItem) *flashv1.Reservation {
	id := orderID(n)
	r := &flashv1.Reservation{OrderId: id[:], BuyerId: "ann", RequestId: request, AcceptedAtUnixMs: int64(n)}
	for _, item := range items {
		r.Items = append(r.Items, &flashv1.ReservedItem{Sku: item.SKU, Quantity: item.Quantity})
	}
	return r
}

func reserved(rs ...*flashv1.Reservation) *flashv1.Record {
	return &flashv1.Record{Kind: &flashv1.Record_Reserved{Reserved: &flashv1.Reserved{Reservations: rs}}}
}

func released(n uint64) *flashv1.Record {
	id := orderID(n)
	orders := []*flashv1.ReleasedOrder{{OrderId: id[:]}}
	return &flashv1.Record{Kind: &flashv1.Record_Released{Released: &flashv1.Released{Orders: orders}}}
}

func toppedUp(id string, items ...*flashv1.ItemQuantity) *flashv1.Record {
	return &flashv1.Record{Kind: &flashv1.Record_ToppedUp{ToppedUp: &flashv1.ToppedUp{TopUpId: id, Items: items}}}
}

func transferredIn(sku string, q int64) *flashv1.Record {
	in := &flashv1.TransferredIn{Sku: sku, Quantity: q}
	return &flashv1.Record{Kind: &flashv1.Record_TransferredIn{TransferredIn: in}}
}

func transferredOut(sku string, q int64) *flashv1.Record {
	out := &flashv1.TransferredOut{Sku: sku, Quantity: q}
	return &flashv1.Record{Kind: &flashv1.Record_TransferredOut{TransferredOut: out}}
}

func fenced() *flashv1.Record {
	return &flashv1.Record{Kind: &flashv1.Record_Fenced{Fenced: &flashv1.Fenced{Owner: "pod"}}}
}

func request(buyer, id string, items ...partition.RequestItem) partition.Request {
	return partition.Request{BuyerID: buyer, RequestID: id, Items: items}
}

func TestDecisions(t *testing.T) {
	a := func(q int64) partition.RequestItem {
		return partition.RequestItem{SKU: "a", Quantity: q, LimitPerBuyer: 2}
	}
	b := func(q int64) partition.RequestItem { return partition.RequestItem{SKU: "b", Quantity: q} }
	open := opened(quantity("a", 5), quantity("b", 1))
	first := reserved(reservation(1, "r1", a(1), b(1)))
	log := func(records ...*flashv1.Record) []*flashv1.Record {
		return append([]*flashv1.Record{open}, records...)
	}
	closed := &flashv1.Record{Kind: &flashv1.Record_Closed{Closed: &flashv1.Closed{}}}
	missing := []partition.Quantity{{SKU: "b", Quantity: 1}}
	tests := []struct {
		name        string
		log         []*flashv1.Record
		request     partition.Request
		want        partition.Verdict
		wantMissing []partition.Quantity
	}{
		{"stock", log(), request("ann", "r1", a(2)), partition.Accept, nil},
		{"retry", log(first), request("ann", "r1", b(1), a(1)), partition.Existing, nil},
		{"retry after release", log(first, released(1)), request("ann", "r1", a(1), b(1)), partition.Existing, nil},
		{"reused", log(first), request("ann", "r1", a(1)), partition.Reused, nil},
		{"limit", log(first), request("ann", "r2", a(2)), partition.OverLimit, nil},
		{"limit comes back", log(first, released(1)), request("ann", "r2", a(2)), partition.Accept, nil},
		{"other buyer", log(first), request("bob", "r1", a(2)), partition.Accept, nil},
		{"all or nothing", log(first), request("bob", "r1", a(1), b(1)), partition.NeedsStock, missing},
		{"closed", log(closed), request("bob", "r1", a(1)), partition.Ended, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			state := partition.New()
			for i, record := range test.log {
				if err := state.Fold(uint64(i+1), record); err != nil {
					t.Fatal(err)
				}
			}
			got := state.Decide(test.request)
			if got.Verdict != test.want {
				t.Errorf("verdict %d, want %d", got.Verdict, test.want)
			}
			if diff := cmp.Diff(test.wantMissing, got.Missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCorruptLogsAreRefused(t *testing.T) {
	item := partition.RequestItem{SKU: "a", Quantity: 2}
	tests := map[string][]*flashv1.Record{
		"oversold":         {opened(quantity("a", 1)), reserved(reservation(1, "r", item))},
		"opened twice":     {opened(), opened()},
		"reserved twice":   {opened(quantity("a", 9)), reserved(reservation(1, "r", item), reservation(2, "r", item))},
		"unknown release":  {opened(), released(7)},
		"after closed":     {opened(), partition.New().ClosedRecord(), opened()},
		"no kind":          {{}},
		"transferred more": {opened(quantity("a", 1)), transferredOut("a", 2)},
	}
	for name, records := range tests {
		t.Run(name, func(t *testing.T) {
			state := partition.New()
			var err error
			for i, record := range records {
				err = errors.Join(err, state.Fold(uint64(i+1), record))
			}
			if !errors.Is(err, partition.ErrCorrupt) {
				t.Errorf("Fold: %v, want ErrCorrupt", err)
			}
		})
	}
}

// twins are a state that an owner decides from and one that folds the same records.
type twins struct {
	live, folded     *partition.State
	sequence, orders uint64
}

// land folds the record into both. If the live state took its reservations before, it is told that
// they landed.
func (w *twins) land(t *rapid.T, record *flashv1.Record, taken bool) {
	w.sequence++
	if taken {
		w.live.Landed(w.sequence)
	} else if err := w.live.Fold(w.sequence, record); err != nil {
		t.Fatalf("live: %v", err)
	}
	if err := w.folded.Fold(w.sequence, record); err != nil {
		t.Fatalf("folded: %v", err)
	}
}

// reserve by a request that may be refused, and whose record may get lost.
func (w *twins) reserve(t *rapid.T, buyers, skus []string) {
	wanted := request(rapid.SampledFrom(buyers).Draw(t, "buyer"), fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "request")))
	for _, sku := range rapid.SliceOfNDistinct(rapid.SampledFrom(skus), 1, 3, rapid.ID[string]).Draw(t, "skus") {
		units := rapid.Int64Range(1, 3).Draw(t, "quantity")
		wanted.Items = append(wanted.Items, partition.RequestItem{SKU: sku, Quantity: units, LimitPerBuyer: 6})
	}
	if w.live.Decide(wanted).Verdict != partition.Accept {
		return
	}
	w.orders++
	terms := partition.Terms{ID: orderID(w.orders), AcceptedMs: int64(w.orders), ExpiresMs: 7, Currency: "EUR"}
	if err := w.live.Take(wanted, terms); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "lands") {
		record := partition.AppendReservation(make([]byte, partition.RecordHead), &wanted, &terms)
		w.land(t, decoded(t, partition.Reserved(record)), true)
	} else {
		w.live.Drop(1)
	}
	for _, item := range wanted.Items {
		if got := w.live.Bought(wanted.BuyerID, item.SKU); got > 6 {
			t.Fatalf("%s has %d of %s, over the limit", wanted.BuyerID, got, item.SKU)
		}
	}
}

// Whatever is decided and folded, the invariant holds; and a second state that folds the same
// records ends up the same, although the first one took and dropped reservations on the way.
func TestFoldingGivesTheDecidedState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skus := []string{"a", "b", "c"}
		buyers := []string{"ann", "bob", "eve"}
		w := &twins{live: partition.New(), folded: partition.New()}
		a, b := rapid.Int64Range(0, 20).Draw(t, "a"), rapid.Int64Range(0, 5).Draw(t, "b")
		w.land(t, opened(quantity("a", a), quantity("b", b)), false)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if err := w.live.Check(); err != nil {
					t.Fatal(err)
				}
				compare(t, w.live, w.folded, skus, buyers)
			},
			"reserve": func(t *rapid.T) { w.reserve(t, buyers, skus) },
			"release": func(t *rapid.T) {
				n := rapid.Uint64Range(0, w.orders).Draw(t, "order")
				switch w.live.DecideRelease(orderID(n)) {
				case partition.MayRelease, partition.AlreadyReleased:
					w.land(t, released(n), false)
				}
			},
			"top up": func(t *rapid.T) {
				w.land(t, toppedUp(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "id")), quantity("c", 4)), false)
			},
			"transfer in": func(t *rapid.T) {
				w.land(t, transferredIn(rapid.SampledFrom(skus).Draw(t, "sku"), 3), false)
			},
			"transfer out": func(t *rapid.T) {
				sku := rapid.SampledFrom(skus).Draw(t, "sku")
				if q := w.live.Donation(sku, rapid.Int64Range(0, 4).Draw(t, "need")); q > 0 {
					w.land(t, transferredOut(sku, q), false)
				}
			},
			"fence": func(t *rapid.T) { w.land(t, fenced(), false) },
		})
	})
}

func decoded(t *rapid.T, raw []byte) *flashv1.Record {
	record := &flashv1.Record{}
	if err := proto.Unmarshal(raw, record); err != nil {
		t.Fatal(err)
	}
	return record
}

func compare(t *rapid.T, live, folded *partition.State, skus, buyers []string) {
	if live.Sequence() != folded.Sequence() {
		t.Fatalf("sequence %d, folded %d", live.Sequence(), folded.Sequence())
	}
	for _, sku := range skus {
		if diff := cmp.Diff(folded.Shard(sku), live.Shard(sku)); diff != "" {
			t.Fatalf("shard %s (-folded +live):\n%s", sku, diff)
		}
		for _, buyer := range buyers {
			if live.Bought(buyer, sku) != folded.Bought(buyer, sku) {
				t.Fatalf("%s has %d of %s, folded %d", buyer, live.Bought(buyer, sku), sku, folded.Bought(buyer, sku))
			}
		}
	}
	for _, buyer := range buyers {
		for r := range 10 {
			a, okA := live.Lookup(buyer, fmt.Sprint(r))
			b, okB := folded.Lookup(buyer, fmt.Sprint(r))
			if diff := cmp.Diff(b, a); diff != "" || okA != okB {
				t.Fatalf("order of %s (-folded +live):\n%s", buyer, diff)
			}
		}
	}
}

func TestBuyersSpreadOverPartitions(t *testing.T) {
	var counts [8]int
	for i := range 8000 {
		counts[partition.ForBuyer(fmt.Sprintf("buyer-%d", i), 8)]++
	}
	for n, count := range counts {
		if count < 850 || count > 1150 {
			t.Errorf("partition %d has %d of 8000 buyers", n, count)
		}
	}
	// The layout of running sales: these must never change.
	for buyer, want := range map[string]int32{"ann": 51, "buyer-1": 56, "": 59} {
		if got := partition.ForBuyer(buyer, 64); got != want {
			t.Errorf("%s is in partition %d, want %d", buyer, got, want)
		}
	}
}
