package returns_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// Whatever buyers, staff and carriers do in whatever order: every answer is the predicted one, no
// unit goes back twice, and what is refunded is the sum of the units' shares.
func TestJourneysOfReturns(t *testing.T) {
	ctx := context.Background()
	w := newWorld(ctx, t)
	rapid.Check(t, func(t *rapid.T) {
		m := w.begin(ctx, t)
		t.Repeat(map[string]func(*rapid.T){
			"parcel":  func(t *rapid.T) { w.parcel(ctx, t, m) },
			"request": func(t *rapid.T) { w.request(ctx, t, m) },
			"decide":  func(t *rapid.T) { w.decide(ctx, t, m) },
			"send":    func(t *rapid.T) { w.send(ctx, t, m) },
			"inspect": func(t *rapid.T) { w.inspect(ctx, t, m) },
			"refund":  func(t *rapid.T) { w.refund(ctx, t, m) },
			"cancel":  func(t *rapid.T) { w.cancel(ctx, t, m) },
			"":        func(t *rapid.T) { w.check(ctx, t, m) },
		})
	})
}

// parcel lets a parcel leave, or arrive.
func (w *world) parcel(ctx context.Context, t *rapid.T, m *model) {
	if len(m.parcels) == 0 {
		t.Skip("no parcel")
	}
	p := rapid.SampledFrom(m.parcels).Draw(t, "parcel")
	code := shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_COLLECTED
	switch {
	case p.state == "REQUESTED" && m.state == order.Cancelled:
		p.state = "EXCEPTION"
		for i, q := range p.lines {
			m.lines[i].shipping -= q
		}
	case p.state == "REQUESTED":
		p.state, m.state = "IN_TRANSIT", order.Shipped
		for i, q := range p.lines {
			m.lines[i].shipping -= q
			m.lines[i].shipped += q
		}
	case p.state == "IN_TRANSIT":
		code, p.state = shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_DELIVERED, "DELIVERED"
		for i, q := range p.lines {
			m.lines[i].delivered += q
		}
		m.settle()
	}
	if _, err := w.shipments.RecordShipmentEvent(ctx,
		&shipmentv1.RecordShipmentEventRequest{RequestId: uuid.NewString(), ShipmentId: p.id, Code: code}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) request(ctx context.Context, t *rapid.T, m *model) {
	r := &ret{
		state:   returns.Requested,
		only:    rapid.Bool().Draw(t, "refund only"),
		lines:   map[int]int64{},
		restock: map[int]int64{},
	}
	req := &returnsv1.RequestReturnRequest{
		RequestId: uuid.NewString(),
		BuyerId:   "ann",
		OrderId:   m.order.String(),
		Kind:      returnsv1.ReturnKind_RETURN_KIND_WITH_PARCEL,
		Reason:    returnsv1.ReturnReason_RETURN_REASON_OTHER,
	}
	if r.only {
		req.Kind, req.Unshipped = returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY, rapid.Bool().Draw(t, "unshipped")
		r.unshipped = req.GetUnshipped() || m.state == order.Paid
	}
	want := ""
	for i := range m.lines {
		q := rapid.Int64Range(0, 3).Draw(t, "quantity")
		if q == 0 && (i > 0 || len(m.lines) > 1) {
			continue
		}
		q = max(q, 1)
		req.Lines = append(req.Lines, &returnsv1.ReturnLineQuantity{Line: int64(i + 1), Quantity: q})
		r.lines[i] = q
		if r.unshipped {
			r.restock[i] = q
		}
		if q > m.returnable(i, r.unshipped) {
			want = "NOT_RETURNABLE"
		}
	}
	if len(r.lines) == 0 {
		t.Skip("no lines")
	}
	if m.state == order.Cancelled {
		want = "ORDER_STATE_CONFLICT"
	}
	answer, err := w.returns.RequestReturn(ctx, req)
	expect(t, err, want)
	if err != nil {
		return
	}
	again, err := w.returns.RequestReturn(ctx, req)
	if err != nil || again.GetReturn().GetReturnId() != answer.GetReturn().GetReturnId() {
		t.Fatalf("again: %v, %v", again, err)
	}
	r.id = answer.GetReturn().GetReturnId()
	m.returns = append(m.returns, r)
}

func (w *world) decide(ctx context.Context, t *rapid.T, m *model) {
	r := m.pick(t)
	var err error
	var want string
	switch rapid.IntRange(0, 4).Draw(t, "decision") {
	case 0:
		want = r.move(returns.Rejected, returns.Requested)
		_, err = w.returns.RejectReturn(ctx,
			&returnsv1.RejectReturnRequest{RequestId: uuid.NewString(), ReturnId: r.id, Reason: "no"})
	case 1:
		want = r.move(returns.Cancelled, returns.Requested, returns.Approved)
		_, err = w.returns.CancelReturn(ctx,
			&returnsv1.CancelReturnRequest{RequestId: uuid.NewString(), BuyerId: "ann", ReturnId: r.id})
	default:
		want = r.move(returns.Approved, returns.Requested)
		_, err = w.returns.ApproveReturn(ctx, &returnsv1.ApproveReturnRequest{RequestId: uuid.NewString(), ReturnId: r.id})
	}
	expect(t, err, want)
}

func (w *world) send(ctx context.Context, t *rapid.T, m *model) {
	r := m.pick(t)
	var err error
	want := "RETURN_STATE_CONFLICT"
	if rapid.Bool().Draw(t, "buyer") {
		if !r.only {
			want = r.move(returns.InTransit, returns.Approved)
		}
		_, err = w.returns.SendReturn(ctx, &returnsv1.SendReturnRequest{
			RequestId:      uuid.NewString(),
			BuyerId:        "ann",
			ReturnId:       r.id,
			Carrier:        "post",
			TrackingNumber: "1",
		})
	} else {
		if !r.only {
			want = r.move(returns.Received, returns.Approved, returns.InTransit)
		}
		_, err = w.returns.ReceiveReturn(ctx, &returnsv1.ReceiveReturnRequest{RequestId: uuid.NewString(), ReturnId: r.id})
	}
	expect(t, err, want)
}

func (w *world) inspect(ctx context.Context, t *rapid.T, m *model) {
	r := m.pick(t)
	req := &returnsv1.InspectReturnRequest{RequestId: uuid.NewString(), ReturnId: r.id}
	restock := map[int]int64{}
	want := r.move(returns.Received, returns.Received)
	for i, q := range r.lines {
		n := rapid.Int64Range(0, q+1).Draw(t, "restock")
		restock[i] = n
		req.Lines = append(req.Lines, &returnsv1.InspectedLine{Line: int64(i + 1), Restock: n})
		if n > q && want == "" {
			want = "RESTOCK_EXCEEDS"
		}
	}
	_, err := w.returns.InspectReturn(ctx, req)
	expect(t, err, want)
	if err == nil {
		r.restock = restock
	}
}

func (w *world) refund(ctx context.Context, t *rapid.T, m *model) {
	r := m.pick(t)
	req := &returnsv1.RefundReturnRequest{RequestId: uuid.NewString(), ReturnId: r.id}
	var share int64
	for i, q := range r.lines {
		share += m.lines[i].share(q)
	}
	amount := share
	if rapid.Bool().Draw(t, "in part") {
		amount = rapid.Int64Range(0, share+1).Draw(t, "amount")
		req.Amount = &moneyv1.Money{Amount: amount, Currency: testorder.Currency}
	}
	want := m.refusal(r, amount > share)
	_, err := w.returns.RefundReturn(ctx, req)
	expect(t, err, want)
	if err != nil {
		return
	}
	r.state = returns.Refunded
	m.refunded += amount
	ended := false
	if r.unshipped {
		ended = m.open(r)
	}
	for i, q := range r.lines {
		u := m.lines[i]
		if r.unshipped {
			u.withdrawn += q
		}
		u.returned += q
		u.restocked += r.restock[i]
	}
	m.settle()
	if ended && m.state != order.Cancelled {
		m.again()
	}
	w.name(ctx, t, m)
}

// cancel is the buyer's, of the whole order.
func (w *world) cancel(ctx context.Context, t *rapid.T, m *model) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	err := w.Cancel(ctx, "ann", m.order)
	switch m.state {
	case order.Cancelled:
		expect(t, err, "")
	case order.Paid:
		expect(t, err, "")
		for _, u := range m.lines {
			q := u.bought - u.returned
			m.refunded += u.share(q)
			u.withdrawn += min(q, u.free())
			u.returned += q
			u.restocked += q
		}
		m.state = order.Cancelled
	default:
		expect(t, err, "ORDER_STATE_CONFLICT")
	}
}

func (w *world) check(ctx context.Context, t *rapid.T, m *model) {
	o, err := w.Get(ctx, "ann", m.order)
	if err != nil {
		t.Fatal(err)
	}
	if o.State != m.state {
		t.Fatalf("the order is %s, want %s", o.State, m.state)
	}
	var granted int64
	for i, l := range o.Lines {
		u := *m.lines[i]
		levels, err := w.Levels(ctx, o, i+1)
		if err != nil {
			t.Fatal(err)
		}
		got := unit{
			bought:    l.Quantity,
			total:     u.total,
			shipping:  l.Shipping,
			shipped:   l.Shipped,
			delivered: l.Delivered,
			returned:  l.Returned,
			withdrawn: l.Withdrawn,
			restocked: levels.Available,
		}
		if got != u {
			t.Fatalf("line %d: %+v, want %+v", i+1, got, u)
		}
		if levels.Available+levels.Deducted != l.Quantity {
			t.Fatalf("stock of line %d: %+v does not sum to %d", i+1, levels, l.Quantity)
		}
		if l.RefundGranted > u.total {
			t.Fatalf("line %d: %d of %d refunded", i+1, l.RefundGranted, u.total)
		}
		granted += l.RefundGranted
	}
	handed, err := w.Refunds(ctx, m.order)
	if err != nil {
		t.Fatal(err)
	}
	if granted != m.refunded || handed != m.refunded {
		t.Fatalf("%d granted, %d handed over, want %d", granted, handed, m.refunded)
	}
	for _, r := range m.returns {
		got, err := w.returns.GetReturn(ctx, &returnsv1.GetReturnRequest{BuyerId: "ann", ReturnId: r.id})
		if err != nil || got.GetReturn().GetState().String() != "RETURN_STATE_"+string(r.state) {
			t.Fatalf("return %s: %v, %v; want %s", r.id, got, err, r.state)
		}
	}
}
