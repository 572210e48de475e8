package prepare_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// logbook writes one promotion's log, and checks what counters count of it.
type logbook struct {
	plog.Log
	js       jetstream.JetStream
	promo    *flashv1.Promotion
	counters map[string]*prepare.Counter
	// last sequence of each partition.
	last map[int32]uint64
}

func openLogbook(t *testing.T, js jetstream.JetStream, p *flashv1.Promotion, items ...prepare.Item) *logbook {
	t.Helper()
	open(t, js, p, items...)
	b := &logbook{
		Log: plog.New(js, p), js: js, promo: p, last: map[int32]uint64{},
		counters: map[string]*prepare.Counter{"kept": prepare.NewCounter(100), "too small": prepare.NewCounter(0)},
	}
	for n := range p.GetPartitions() {
		var err error
		if b.last[n], err = b.Last(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *logbook) write(t *testing.T, n int32, records ...*flashv1.Record) {
	t.Helper()
	for _, record := range records {
		sequence, err := b.Append(t.Context(), plog.Entry{Partition: n, Expected: b.last[n], Record: record})
		if err != nil {
			t.Fatal(err)
		}
		b.last[n] = sequence
	}
}

// check compares what each counter has counted with what reading the whole log finds.
func (b *logbook) check(t *testing.T, step string) {
	t.Helper()
	want, err := prepare.Totals(t.Context(), b.js, b.promo)
	if err != nil {
		t.Fatal(err)
	}
	for name, counter := range b.counters {
		got, err := counter.Totals(t.Context(), b.js, b.promo)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s, %s (-want +got)\n%s", step, name, diff)
		}
	}
}

// reserved is one order of so many of each SKU as its number says.
func reserved(order byte, skus ...string) *flashv1.Record {
	r := &flashv1.Reservation{OrderId: order16(order), BuyerId: fmt.Sprint(order), RequestId: "1"}
	for _, sku := range skus {
		r.Items = append(r.Items, &flashv1.ReservedItem{Sku: sku, Quantity: int64(order)})
	}
	return &flashv1.Record{
		Kind: &flashv1.Record_Reserved{Reserved: &flashv1.Reserved{Reservations: []*flashv1.Reservation{r}}},
	}
}

func released(order byte) *flashv1.Record {
	return &flashv1.Record{
		Kind: &flashv1.Record_Released{
			Released: &flashv1.Released{Orders: []*flashv1.ReleasedOrder{{OrderId: order16(order)}}},
		},
	}
}

func TestCounterFollowsTheLog(t *testing.T) {
	items := []prepare.Item{{SKU: "a", Quantity: 1000}, {SKU: "b", Quantity: 1000}, {SKU: "c", Quantity: 1000}}
	js := testnats.Run(t).JetStream(t)
	p := newPromotion(2, 4, items...)
	log := openLogbook(t, js, p, items...)
	log.check(t, "opened")
	log.write(t, 0, reserved(3, "a"), reserved(4, "a", "c"))
	log.write(t, 2, reserved(5, "b"))
	log.check(t, "reserved")
	log.write(t, 0, released(4), released(4))
	log.write(t, 2, released(5))
	log.check(t, "released")
	log.write(t, 1, &flashv1.Record{
		Kind: &flashv1.Record_ToppedUp{
			ToppedUp: &flashv1.ToppedUp{TopUpId: "1", Items: []*flashv1.ItemQuantity{{Sku: "c", Quantity: 9}}},
		},
	})
	_, err := log.AppendBatch(t.Context(), []plog.Entry{
		{
			Partition: 0,
			Expected:  log.last[0],
			Record: &flashv1.Record{
				Kind: &flashv1.Record_TransferredOut{
					TransferredOut: &flashv1.TransferredOut{ToPartition: 1, Sku: "a", Quantity: 100},
				},
			},
		},
		{
			Partition: 1,
			Expected:  log.last[1],
			Record: &flashv1.Record{
				Kind: &flashv1.Record_TransferredIn{TransferredIn: &flashv1.TransferredIn{Sku: "a", Quantity: 100}},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	log.check(t, "topped up and transferred")
	if _, err := prepare.ClosePartitions(t.Context(), js, p, "operator"); err != nil {
		t.Fatal(err)
	}
	log.check(t, "closed")
}

func order16(n byte) []byte { id := uuid.UUID{15: n}; return id[:] }
