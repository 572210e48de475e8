package outbox

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

const (
	// Stream is the JetStream stream of all orders' events.
	Stream = "ORDER_EVENTS"
	// EventSubjects are those of all events, and ReplaySubjects of all that a consumer gets once more.
	EventSubjects, ReplaySubjects = subjectPrefix + ">", replayPrefix + ">"

	// subjects are order.events.<event>.<order id>.
	subjectPrefix = "order.events."
	// replayPrefix begins the subjects of events that one consumer gets once more:
	// order.replays.<consumer>.<event id>.
	replayPrefix = "order.replays."

	// duplicateWindow is how long JetStream drops an event that it has already: longer than a relay
	// can take between publishing and deleting. After it, consumers still know a duplicate by its id.
	duplicateWindow = 10 * time.Minute
	// Retention is how long a consumer may be away without missing an event.
	Retention = 7 * 24 * time.Hour
	// maxEventBytes is far above an order of 100 lines.
	maxEventBytes = 1 << 20

	contentType = "application/protobuf"

	// HeaderID is the header with an event's id; see [ParseID].
	HeaderID = "ce-id"
)

// EnsureStream makes the stream unless it is there; replicas are 1, 3 or 5. What an administrator has
// set of it stays; what of that breaks a promise is returned, as messaging.Ensure says.
func EnsureStream(ctx context.Context, js jetstream.JetStream, replicas int) (broken []string, err error) {
	return messaging.Ensure(ctx, js, jetstream.StreamConfig{
		Name:               Stream,
		Description:        "What happened to orders, as CloudEvents.",
		Subjects:           []string{EventSubjects, ReplaySubjects},
		Storage:            jetstream.FileStorage,
		Replicas:           replicas,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		MaxAge:             Retention,
		Duplicates:         duplicateWindow,
		MaxMsgSize:         maxEventBytes,
		AllowAtomicPublish: true,
		AllowDirect:        true,
	}, nil)
}

// NameOf is an event's token in its subject, by the full name of its message: delivery_set for
// orderd.order.v1.OrderDeliverySet.
func NameOf(typeName string) string {
	name := typeName[strings.LastIndexByte(typeName, '.')+1:]
	var out strings.Builder
	for i, r := range strings.TrimPrefix(name, "Order") {
		if unicode.IsUpper(r) && i > 0 {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

// EventSubject is the subject of all orders' events of a type, by its full name.
func EventSubject(typeName string) string { return subjectPrefix + NameOf(typeName) + ".*" }

// OrderSubject is the subject of all events of an order.
func OrderSubject(orderID uuid.UUID) string { return subjectPrefix + "*." + orderID.String() }

// ReplaySubject is the subject at which one consumer gets an event once more.
func ReplaySubject(consumer, eventID string) string { return replayPrefix + consumer + "." + eventID }

// IsReplay tells whether a subject is one of ReplaySubject's.
func IsReplay(subject string) bool { return strings.HasPrefix(subject, replayPrefix) }

// ParseID takes an event's id apart, which names the order and its version after the change.
func ParseID(id string) (orderID uuid.UUID, version int64, ok bool) {
	order, number, found := strings.Cut(id, ".")
	orderID, err := uuid.Parse(order)
	version, numberErr := strconv.ParseInt(number, 10, 64)
	return orderID, version, found && err == nil && numberErr == nil
}

// message is the row as a CloudEvent in binary mode: attributes in headers, the
// protobuf event as data.
func (r *row) message(source string) *nats.Msg {
	msg := nats.NewMsg(subjectPrefix + r.Event + "." + r.OrderID.String())
	msg.Data = r.Payload
	for name, value := range map[string]string{
		"ce-specversion": "1.0", HeaderID: r.id(), "ce-source": source, "ce-type": r.Type, "ce-subject": r.OrderID.String(),
		"ce-time": r.CreatedAt.UTC().Format(time.RFC3339Nano), "ce-datacontenttype": contentType,
	} {
		msg.Header.Set(name, value)
	}
	msg.Header.Set(jetstream.MsgIDHeader, r.id())
	msg.Header.Set(jetstream.ExpectedStreamHeader, Stream)
	return msg
}
