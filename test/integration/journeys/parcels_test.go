package journeys

import (
	"context"
	"fmt"

	"github.com/orderd-dev/orderd/orderd/sim/carrier"
)

// collect has the carrier collect the parcel of a paid order.
func (j *journey) collect() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.state == paid })
	if !ok {
		return
	}
	j.logf("collect the parcel of %s", o.id)
	j.must(until("the carrier has the parcel of "+o.id, func() (bool, error) {
		o.parcel = j.w.parcelOf(o)
		return o.parcel != "", nil
	}))
	j.must(j.w.move(o.parcel, "COLLECTED"))
	o.leave()
	j.read(o)
}

// parcelOf is the parcel that has all of an order that is not refunded; empty if the carrier has
// none.
func (w *world) parcelOf(o *order) string {
	want := map[string]int64{}
	for _, l := range o.lines {
		if n := l.quantity - l.withdrawn; n > 0 {
			want[l.sku.code] = n
		}
	}
	for _, p := range w.carrier.Parcels() {
		if p.OrderID == o.id && !p.Cancelled && p.TrackingNumber != "" && holds(p, want) {
			return p.ShipmentID
		}
	}
	return ""
}

func holds(p carrier.Parcel, want map[string]int64) bool {
	got := map[string]int64{}
	for _, i := range p.Items {
		got[i.SKU] += i.Quantity
	}
	return fmt.Sprint(got) == fmt.Sprint(want)
}

// move lets something happen to a parcel and repeats the push until it is taken.
func (w *world) move(parcel, code string) error {
	err := w.carrier.Move(context.Background(), parcel, code)
	if err == nil {
		return nil
	}
	return until("the push about "+parcel+" is taken", func() (bool, error) {
		return w.carrier.PushAgain(context.Background(), parcel) == nil, nil
	})
}

func (j *journey) deliver() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.parcel != "" })
	if !ok {
		return
	}
	j.logf("deliver the parcel of %s, %s", o.id, o.state)
	j.must(j.w.move(o.parcel, "DELIVERED"))
	o.parcel = ""
	o.arrive()
	j.read(o)
}
