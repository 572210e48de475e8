package consume_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
)

const someOrder = "018f2f6e-7d4c-8a10-9b3c-0123456789ab"

func header(changes ...string) nats.Header {
	h := nats.Header{}
	all := append([]string{
		"ce-specversion",
		"1.0",
		"ce-id",
		someOrder + ".2",
		"ce-source",
		"shop/main",
		"ce-type",
		typePaid,
		"ce-subject",
		someOrder,
		"ce-time",
		"2026-11-11T20:00:00.5+08:00",
		"ce-datacontenttype",
		"application/protobuf",
	}, changes...)
	for i := 0; i+1 < len(all); i += 2 {
		h.Set(all[i], all[i+1])
	}
	return h
}

// decoding is what a message of the stream is decoded to, or why it is not.
type decoding struct {
	name    string
	header  nats.Header
	data    []byte
	want    consume.Event
	wantErr string
}

func decoded(data []byte, published time.Time) []decoding {
	return []decoding{
		{
			name:   "as the outbox publishes it",
			header: header(),
			data:   data,
			want: consume.Event{
				ID:     someOrder + ".2",
				Source: "shop/main",
				Time:   time.Date(2026, 11, 11, 12, 0, 0, 5e8, time.UTC),
			},
		},
		{
			name:   "percent-encoded",
			header: header("ce-source", "shop%2F%E4%B8%AD"),
			data:   data,
			want: consume.Event{
				ID:     someOrder + ".2",
				Source: "shop/中",
				Time:   time.Date(2026, 11, 11, 12, 0, 0, 5e8, time.UTC),
			},
		},
		{
			name:   "without a time",
			header: header("ce-time", ""),
			data:   data,
			want:   consume.Event{ID: someOrder + ".2", Source: "shop/main", Time: published},
		},
	}
}

func notDecoded() []decoding {
	return []decoding{
		{name: "of another version", header: header("ce-specversion", "0.3"), wantErr: `ce-specversion "0.3": must be 1.0`},
		{name: "without an id", header: header("ce-id", ""), wantErr: "header ce-id is missing"},
		{name: "an id that is a wildcard", header: header("ce-id", "a.>"), wantErr: `ce-id "a.>" cannot stand in a subject`},
		{
			name:    "an id with an empty token",
			header:  header("ce-id", "a..b"),
			wantErr: `ce-id "a..b" cannot stand in a subject`,
		},
		{
			name:    "a subject that is no order",
			header:  header("ce-subject", "tea"),
			wantErr: `ce-subject "tea" is not an order id`,
		},
		{
			name:    "an order id in another notation",
			header:  header("ce-subject", strings.ToUpper(someOrder)),
			wantErr: "is not an order id",
		},
		{name: "JSON", header: header("ce-datacontenttype", "application/json"), wantErr: "must be application/protobuf"},
		{name: "a time that is none", header: header("ce-time", "noon"), wantErr: "ce-time:"},
		{name: "bad percent-encoding", header: header("ce-source", "%zz"), wantErr: "header ce-source:"},
		{name: "a long attribute", header: header("ce-source", strings.Repeat("s", 257)), wantErr: "the limit is 256"},
		{
			name:    "a type nobody knows",
			header:  header("ce-type", "orderd.order.v1.OrderEaten"),
			wantErr: "type orderd.order.v1.OrderEaten:",
		},
		{name: "data of another type", header: header(), data: []byte("hello"), wantErr: "data of type " + typePaid},
	}
}

func TestDecodeEvent(t *testing.T) {
	data, err := proto.Marshal(&orderv1.OrderPaid{Order: &orderv1.Order{OrderId: someOrder}})
	if err != nil {
		t.Fatal(err)
	}
	published := time.Date(2026, 11, 11, 13, 0, 0, 0, time.UTC)
	for _, tt := range append(decoded(data, published), notDecoded()...) {
		t.Run(tt.name, func(t *testing.T) {
			got, err := consume.DecodeEvent(tt.header, tt.data, published)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			paid, ok := got.Message.(*orderv1.OrderPaid)
			if !ok || paid.GetOrder().GetOrderId() != someOrder {
				t.Errorf("message %v", got.Message)
			}
			tt.want.Type, tt.want.Subject, tt.want.OrderID = typePaid, someOrder, uuid.MustParse(someOrder)
			got.Message = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add("1.0", someOrder+".2", "shop/main", typePaid, someOrder, "2026-11-11T20:00:00Z", "application/protobuf",
		[]byte{})
	f.Add("1.0", "a%2Eb", "%", "google.protobuf.Any", "", "", "", []byte{1})
	f.Fuzz(func(t *testing.T, version, id, source, typeName, subject, at, contentType string, data []byte) {
		h := nats.Header{}
		for name, value := range map[string]string{
			"ce-specversion": version, "ce-id": id, "ce-source": source, "ce-type": typeName, "ce-subject": subject,
			"ce-time": at, "ce-datacontenttype": contentType,
		} {
			h.Set(name, value)
		}
		e, err := consume.DecodeEvent(h, data, time.Unix(0, 0))
		if err != nil {
			return
		}
		if e.ID == "" || strings.ContainsAny(e.ID, " *>\r\n") || e.OrderID.String() != e.Subject || e.Message == nil ||
			e.Source == "" {
			t.Errorf("taken: %+v", e)
		}
		if string(e.Message.ProtoReflect().Descriptor().FullName()) != e.Type {
			t.Errorf("a %s is a %T", e.Type, e.Message)
		}
	})
}
