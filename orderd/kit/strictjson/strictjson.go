// Package strictjson is Connect's JSON codec for servers that refuse what they do not know. A misspelt
// field is otherwise dropped, and means its zero value: freight that is free, a refund of everything.
//
// Protobuf's binary form has numbers in place of names and is not concerned.
package strictjson

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// maxPath bounds the path that an error names, in bytes: the names in it are the caller's.
const maxPath = 256

// Codec reads and writes messages as [connectproto.JSONCodec] does, but for unknown fields.
type Codec struct{ *connectproto.JSONCodec }

// New makes the codec. Reading a message with a field that it has not, at any depth, fails with
// INVALID_ARGUMENT/UNKNOWN_FIELD, whose metadata "field" is the path of the first such field as the
// JSON has it, such as template.budget.mony or items[1].skuu.
func New() Codec {
	c := connectproto.NewJSONCodec()
	c.UnmarshalOptions.DiscardUnknown = false
	return Codec{c}
}

// UnmarshalRead reads a message.
func (c Codec) UnmarshalRead(ctx context.Context, src io.Reader, msg any) error {
	raw, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	err = c.JSONCodec.UnmarshalRead(ctx, bytes.NewReader(raw), msg)
	if err == nil {
		return nil
	}
	m, ok := msg.(proto.Message)
	if !ok {
		return err
	}
	message := m.ProtoReflect().Descriptor()
	path, found := unknown(raw, message)
	if !found {
		return err
	}
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonUnknownField,
		fmt.Sprintf("%s has no field %q", message.Name(), path), "field", path)
}

// unknown is the path of the first field that a message has not, if there is one before the text is
// wrong in another way.
func unknown(raw []byte, message protoreflect.MessageDescriptor) (path string, found bool) {
	w := &walk{in: json.NewDecoder(bytes.NewReader(raw))}
	// A number may be too large for a float.
	w.in.UseNumber()
	w.value(message)
	path = strings.Join(w.found, "")
	if len(path) > maxPath {
		path = strings.ToValidUTF8(path[:maxPath], "") + "…"
	}
	return path, w.found != nil
}

// walk reads a text token by token, beside the descriptors of what is expected. It never goes back, so
// that a text costs no more than its length, however deep it is.
type walk struct {
	in *json.Decoder
	// path leads to where the walk is.
	path []string
	// found is the path of the first unknown field.
	found []string
}

// value reads a value: a message's, or any if message is nil. False ends the walk.
func (w *walk) value(message protoreflect.MessageDescriptor) bool {
	token, err := w.in.Token()
	if err != nil {
		return false
	}
	switch token {
	case json.Delim('{'):
		return w.object(func(name string) bool { return w.field(message, name) })
	case json.Delim('['):
		return w.array(message)
	}
	return true
}

// object reads what follows an opening brace; each reads the value of a name.
func (w *walk) object(each func(name string) bool) bool {
	for w.in.More() {
		token, err := w.in.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return false
		}
		if len(w.path) == 0 {
			w.path = append(w.path, name)
		} else {
			w.path = append(w.path, "."+name)
		}
		if !each(name) {
			return false
		}
		w.path = w.path[:len(w.path)-1]
	}
	_, err := w.in.Token()
	return err == nil
}

func (w *walk) array(message protoreflect.MessageDescriptor) bool {
	for i := 0; w.in.More(); i++ {
		w.path = append(w.path, "["+strconv.Itoa(i)+"]")
		if !w.value(message) {
			return false
		}
		w.path = w.path[:len(w.path)-1]
	}
	_, err := w.in.Token()
	return err == nil
}

// field reads the value of one of a message's fields.
func (w *walk) field(message protoreflect.MessageDescriptor, name string) bool {
	if message == nil {
		return w.value(nil)
	}
	field := message.Fields().ByJSONName(name)
	if field == nil {
		field = message.Fields().ByTextName(name)
	}
	switch {
	case field == nil:
		w.found = append(w.found, w.path...)
		return false
	case field.IsMap():
		of := field.MapValue().Message()
		return w.mapped(ours(of))
	default:
		return w.value(ours(field.Message()))
	}
}

// mapped reads a map, whose keys are no fields.
func (w *walk) mapped(of protoreflect.MessageDescriptor) bool {
	token, err := w.in.Token()
	if err != nil {
		return false
	}
	if token != json.Delim('{') {
		return token == nil
	}
	return w.object(func(string) bool { return w.value(of) })
}

// ours is nil for a message whose JSON is not made of its fields, such as a Timestamp's.
func ours(message protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	if message == nil || strings.HasPrefix(string(message.FullName()), "google.protobuf.") {
		return nil
	}
	return message
}
