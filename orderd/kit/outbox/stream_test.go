package outbox_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/reflect/protoreflect"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func TestNameOf(t *testing.T) {
	// Consumers outside go by these, so they stay.
	want := map[protoreflect.Name]string{
		"OrderPlaced":         "placed",
		"OrderPaid":           "paid",
		"OrderCancelled":      "cancelled",
		"OrderDeliverySet":    "delivery_set",
		"OrderShipped":        "shipped",
		"OrderDelivered":      "delivered",
		"OrderCompleted":      "completed",
		"OrderRefundGranted":  "refund_granted",
		"OrderRefunded":       "refunded",
		"OrderReturnChanged":  "return_changed",
		"OrderInvoiceChanged": "invoice_changed",
		"OrderTagged":         "tagged",
		"OrderNoted":          "noted",
	}
	messages := orderv1.File_orderd_order_v1_events_proto.Messages()
	for i := range messages.Len() {
		m := messages.Get(i)
		if got := outbox.NameOf(string(m.FullName())); got != want[m.Name()] {
			t.Errorf("%s is %q, want %q", m.FullName(), got, want[m.Name()])
		}
	}
	if messages.Len() != len(want) {
		t.Errorf("%d events, want %d", messages.Len(), len(want))
	}
}

func TestAnEventIsQueuedUnderItsOwnNameOnly(t *testing.T) {
	event := outbox.Event{OrderID: uuid.New(), Version: 2, Name: "settled", Payload: &orderv1.OrderPaid{}, At: time.Now()}
	var b pgx.Batch
	if err := outbox.Queue(&b, []outbox.Event{event}); err == nil {
		t.Error("no error for a name that no consumer reads")
	}
	event.Name = "paid"
	if err := outbox.Queue(&b, []outbox.Event{event}); err != nil {
		t.Error(err)
	}
}

func TestAStreamOfTheVersionBeforeIsChanged(t *testing.T) {
	ctx := t.Context()
	js := testnats.Run(t).JetStream(t)
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name:               outbox.Stream,
		Subjects:           []string{"order.events.>"},
		Storage:            jetstream.FileStorage,
		MaxAge:             outbox.Retention,
		Duplicates:         10 * time.Minute,
		AllowAtomicPublish: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "order.events.paid.x", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.EnsureStream(ctx, js, 1); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, outbox.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo(); !got.Config.AllowDirect || got.State.Msgs != 1 {
		t.Errorf("stream %+v with %d messages", got.Config, got.State.Msgs)
	}
	if _, err := js.Publish(ctx, outbox.ReplaySubject("reward", "e"), nil); err != nil {
		t.Errorf("a replay: %v", err)
	}
}
