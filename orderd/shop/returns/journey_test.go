package returns_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/money"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// model is what a journey expects of one order: it predicts every answer.
type model struct {
	order   uuid.UUID
	state   order.State
	lines   []*unit
	parcels []*parcel
	returns []*ret
	// refunded is what was handed to the payment provider.
	refunded int64
}

// unit is what a model has of an order's line.
type unit struct{ bought, total, shipping, shipped, delivered, returned, withdrawn, restocked int64 }

func (u *unit) free() int64 { return u.bought - u.withdrawn - u.shipping - u.shipped }

// share is what the next units of the line are worth.
func (u *unit) share(q int64) int64 {
	return money.Share(u.total, u.returned+q, u.bought) - money.Share(u.total, u.returned, u.bought)
}

type parcel struct {
	id    string
	state string
	lines map[int]int64
}

type ret struct {
	id        string
	state     returns.State
	only      bool
	unshipped bool
	lines     map[int]int64
	restock   map[int]int64
}

func (r *ret) open() bool {
	return r.state == returns.Requested || r.state == returns.Approved || r.state == returns.InTransit ||
		r.state == returns.Received
}

// spoken are the units of a line in open returns of the same sort.
func (m *model) spoken(line int, unshipped bool) (sum int64) {
	for _, r := range m.returns {
		if r.open() && r.unshipped == unshipped {
			sum += r.lines[line]
		}
	}
	return sum
}

func (m *model) returnable(line int, unshipped bool) int64 {
	u := m.lines[line]
	if unshipped {
		return u.bought - u.shipped - u.withdrawn - m.spoken(line, true)
	}
	return u.shipped - (u.returned - u.withdrawn) - m.spoken(line, false)
}

func (m *model) settle() {
	fulfilled, nothing := true, true
	for _, u := range m.lines {
		fulfilled = fulfilled && u.free() <= 0 && u.shipping == 0 && u.delivered >= u.bought-u.returned
		nothing = nothing && u.withdrawn == u.bought
	}
	switch {
	case m.state == order.Shipped && fulfilled:
		m.state = order.Delivered
	case m.state == order.Paid && nothing:
		m.state = order.Cancelled
	}
}

// world is what all journeys share.
type world struct {
	*testorder.Shop
	store     *shipment.Store
	shipments *shipment.Service
	returns   *returns.Service
}

func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	shop, err := testorder.New(ctx, testdb.NewPool(t))
	must(err)
	// Nobody calls it here: no worker runs.
	c, err := carrier.NewHTTP(carrier.HTTPOptions{
		Name:   "swift",
		URL:    "http://127.0.0.1:1",
		Key:    []byte("0123456789abcdef"),
		Clock:  shop.Clock.Now,
		Random: rand.Reader,
	})
	must(err)
	w := &world{Shop: shop}
	w.store, err = shipment.NewStore(shipment.Options{
		Pool:     shop.Pool,
		Orders:   shop.Orders,
		Carriers: []carrier.Carrier{c},
		Clock:    shop.Clock.Now,
		Random:   rand.Reader,
		Logger:   slog.New(slog.DiscardHandler),
	})
	must(err)
	w.shipments = shipment.NewService(w.store)
	w.returns, err = returns.NewService(
		returns.Options{Pool: shop.Pool, Orders: shop.Orders, Parcels: w.store, Clock: shop.Clock.Now, Random: rand.Reader},
	)
	must(err)
	return w
}

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

// begin is a paid order whose parcel is requested.
func (w *world) begin(ctx context.Context, t *rapid.T) *model {
	m := &model{state: order.Paid}
	var lines []testorder.Line
	for range rapid.IntRange(1, 2).Draw(t, "lines") {
		l := testorder.Line{
			Quantity:  rapid.Int64Range(1, 4).Draw(t, "quantity"),
			UnitPrice: rapid.Int64Range(3, 50).Draw(t, "price"),
			Discount:  rapid.Int64Range(0, 3).Draw(t, "discount"),
			Freight:   rapid.Int64Range(0, 9).Draw(t, "freight"),
		}
		lines = append(lines, l)
		m.lines = append(m.lines, &unit{bought: l.Quantity, total: l.Quantity*l.UnitPrice - l.Discount + l.Freight})
	}
	var err error
	if m.order, err = w.Paid(ctx, "ann", true, lines...); err != nil {
		t.Fatal(err)
	}
	err = database.ExecuteTx(ctx, w.Pool, func(tx *database.Tx) error {
		return w.store.RequestForPaid(ctx, tx,
			&orderv1.OrderPaid{Order: &orderv1.Order{OrderId: m.order.String(), Version: 2}}, w.Clock.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	m.again()
	w.name(ctx, t, m)
	return m
}

// again puts all that is left into a parcel, whose id is not known yet.
func (m *model) again() {
	p := &parcel{state: "REQUESTED", lines: map[int]int64{}}
	any := false
	for i, u := range m.lines {
		if q := u.free(); q > 0 {
			p.lines[i], any = q, true
			u.shipping += q
		}
	}
	if any {
		m.parcels = append(m.parcels, p)
	}
}

// name learns the ids of new parcels and checks that there are as many as expected.
func (w *world) name(ctx context.Context, t *rapid.T, m *model) {
	answer, err := w.shipments.ListOrderShipments(ctx,
		&shipmentv1.ListOrderShipmentsRequest{BuyerId: "ann", OrderId: m.order.String()})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetShipments()
	if len(got) != len(m.parcels) {
		t.Fatalf("%d parcels, want %d", len(got), len(m.parcels))
	}
	known := map[string]*parcel{}
	for _, p := range m.parcels {
		if p.id != "" {
			known[p.id] = p
		}
	}
	for _, sh := range got {
		p := known[sh.GetShipmentId()]
		if p == nil {
			// Only the last can be new.
			p = m.parcels[len(m.parcels)-1]
			p.id = sh.GetShipmentId()
		}
		if "SHIPMENT_STATE_"+p.state != sh.GetState().String() {
			t.Fatalf("parcel %s is %s, want %s", p.id, sh.GetState(), p.state)
		}
	}
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

func expect(t *rapid.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || rpcerr.Reason(err) != want {
		t.Fatalf("%v, want %q", err, want)
	}
}

func (m *model) pick(t *rapid.T) *ret {
	if len(m.returns) == 0 {
		t.Skip("no return yet")
	}
	return rapid.SampledFrom(m.returns).Draw(t, "return")
}

// move takes a return to a state if it is in one of others, and says what is expected otherwise.
func (r *ret) move(to returns.State, from ...returns.State) string {
	for _, f := range from {
		if r.state == f {
			r.state = to
			return ""
		}
	}
	return "RETURN_STATE_CONFLICT"
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

// refusal is why a refund cannot be granted.
func (m *model) refusal(r *ret, tooMuch bool) string {
	gone := false
	for i, q := range r.lines {
		gone = gone || r.unshipped && m.lines[i].bought-m.lines[i].shipped-m.lines[i].withdrawn < q
	}
	switch {
	case r.only && r.state != returns.Approved, !r.only && r.state != returns.Received:
		return "RETURN_STATE_CONFLICT"
	case m.state == order.Cancelled:
		return "ORDER_STATE_CONFLICT"
	case gone:
		return "ALREADY_SHIPPED"
	case tooMuch:
		return "REFUND_EXCEEDS"
	}
	return ""
}

// open ends the waiting parcel if it has units that are to be taken out. There is at most one.
func (m *model) open(r *ret) bool {
	need := false
	for i, q := range r.lines {
		need = need || q > m.lines[i].free()
	}
	for _, p := range m.parcels {
		if need && p.state == "REQUESTED" {
			p.state = "EXCEPTION"
			for i, q := range p.lines {
				m.lines[i].shipping -= q
			}
			return true
		}
	}
	return false
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
