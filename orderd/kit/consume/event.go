package consume

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const (
	specVersion = "1.0"
	contentType = "application/protobuf"
	// maxAttribute bounds a CloudEvents attribute.
	maxAttribute = 256
)

// The headers of a CloudEvent in binary mode.
const (
	attributePrefix   = "ce-"
	headerSpecVersion = "ce-specversion"
	headerID          = "ce-id"
	headerSource      = "ce-source"
	headerType        = "ce-type"
	headerSubject     = "ce-subject"
	headerTime        = "ce-time"
	headerContentType = "ce-datacontenttype"
)

// validID is what an event's id may be made of, so that it can stand in a subject.
var validID = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// DecodeEvent reads a CloudEvent in binary mode, as orderd's outbox publishes it. published is the
// time for an event that has none.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
func DecodeEvent(header nats.Header, data []byte, published time.Time) (Event, error) {
	e, err := decodeAttributes(header, published)
	if err != nil {
		return Event{}, err
	}
	e.Message, err = newMessage(e.Type)
	if err != nil {
		return Event{}, err
	}
	if err := proto.Unmarshal(data, e.Message); err != nil {
		return Event{}, fmt.Errorf("data of type %s: %w", e.Type, err)
	}
	return e, nil
}

func decodeAttributes(header nats.Header, published time.Time) (Event, error) {
	var e Event
	if v, err := attribute(header, headerSpecVersion); err != nil || v != specVersion {
		return e, errors.Join(fmt.Errorf("%s %q: must be %s", headerSpecVersion, v, specVersion), err)
	}
	for name, into := range map[string]*string{
		headerID: &e.ID, headerSource: &e.Source, headerType: &e.Type, headerSubject: &e.Subject,
	} {
		v, err := attribute(header, name)
		if err != nil {
			return e, err
		}
		if v == "" {
			return e, fmt.Errorf("header %s is missing", name)
		}
		*into = v
	}
	if !validID.MatchString(e.ID) {
		return e, fmt.Errorf("%s %q cannot stand in a subject", headerID, e.ID)
	}
	var err error
	if e.OrderID, err = uuid.Parse(e.Subject); err != nil || e.OrderID.String() != e.Subject {
		return e, fmt.Errorf("%s %q is not an order id", headerSubject, e.Subject)
	}
	if v, err := attribute(header, headerContentType); err != nil || v != contentType {
		return e, errors.Join(fmt.Errorf("%s %q: must be %s", headerContentType, v, contentType), err)
	}
	e.Time = published
	v, err := attribute(header, headerTime)
	if err != nil {
		return e, err
	}
	if v != "" {
		if e.Time, err = time.Parse(time.RFC3339Nano, v); err != nil {
			return e, fmt.Errorf("%s: %w", headerTime, err)
		}
	}
	e.Time = e.Time.UTC()
	return e, nil
}

// attribute is a header's value, which the binding percent-encodes.
func attribute(header nats.Header, name string) (string, error) {
	raw := header.Get(name)
	if len(raw) > maxAttribute {
		return "", fmt.Errorf("header %s has %d bytes, the limit is %d", name, len(raw), maxAttribute)
	}
	v, err := url.PathUnescape(raw)
	if err != nil {
		return "", fmt.Errorf("header %s: %w", name, err)
	}
	return v, nil
}

// newMessage is an empty message of the type.
func newMessage(name string) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", name, err)
	}
	return t.New().Interface(), nil
}
