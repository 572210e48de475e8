package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	maxRequestBytes = 16 << 10
	maxRequestID    = 256
	// A request that is too long is shortened to strings of longestString bytes and lists and maps
	// of longestList members; if that is not enough, to a quarter of them, and so on.
	longestString = 1 << 10
	longestList   = 1 << 8
	shortest      = 4
)

// requestID of a message that has a top-level field of that name; empty if it has none.
func requestID(msg proto.Message) string {
	m := msg.ProtoReflect()
	field := m.Descriptor().Fields().ByName("request_id")
	if field == nil || field.Kind() != protoreflect.StringKind || field.Cardinality() == protoreflect.Repeated {
		return ""
	}
	return cut(m.Get(field).String(), maxRequestID)
}

// requestJSON is the message as JSON of at most maxRequestBytes, without what the protos mark with debug_redact:
// entries stay, and what a buyer may delete, such as an address, would stay with them.
func requestJSON(msg proto.Message) (string, error) {
	msg = proto.Clone(msg)
	redact(msg.ProtoReflect())
	raw, err := protojson.Marshal(msg)
	if err != nil {
		return "", fmt.Errorf("writing the request as JSON: %w", err)
	}
	// protojson varies its white space.
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return "", fmt.Errorf("writing the request as JSON: %w", err)
	}
	if compact.Len() <= maxRequestBytes {
		return compact.String(), nil
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", fmt.Errorf("shortening the request: %w", err)
	}
	for text, list := longestString, longestList; list >= shortest; text, list = text/4, list/4 {
		short, err := marshal(shorten(value, text, list))
		if err != nil || len(short) <= maxRequestBytes {
			return short, err
		}
	}
	return marshal(map[string]any{"…": fmt.Sprintf("%d bytes", compact.Len())})
}

// redact leaves an ellipsis of a marked text, and nothing of anything else that is marked.
func redact(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		options, ok := field.Options().(*descriptorpb.FieldOptions)
		marked := ok && options.GetDebugRedact()
		switch {
		case marked && field.Kind() == protoreflect.StringKind && !field.IsList():
			m.Set(field, protoreflect.ValueOfString("…"))
		case marked:
			m.Clear(field)
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, member protoreflect.Value) bool {
					redact(member.Message())
					return true
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				redact(value.List().Get(i).Message())
			}
		default:
			redact(value.Message())
		}
		return true
	})
}

func marshal(value any) (string, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", fmt.Errorf("shortening the request: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// shorten says where it left something out, and how much.
func shorten(value any, text, list int) any {
	switch v := value.(type) {
	case string:
		if len(v) <= text {
			return v
		}
		return fmt.Sprintf("%s… %d bytes", cut(v, text), len(v))
	case []any:
		out := make([]any, 0, min(len(v), list)+1)
		for _, member := range v[:min(len(v), list)] {
			out = append(out, shorten(member, text, list))
		}
		if more := len(v) - list; more > 0 {
			out = append(out, fmt.Sprintf("… %d more", more))
		}
		return out
	case map[string]any:
		out := make(map[string]any, min(len(v), list)+1)
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i == list {
				out["…"] = fmt.Sprintf("%d more", len(v)-list)
				break
			}
			out[cut(name, text)] = shorten(v[name], text, list)
		}
		return out
	}
	return value
}

// cut leaves whole characters.
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}
