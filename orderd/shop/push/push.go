// Package push tells buyers' devices what happened to their orders, through the app's push gateway:
// templates by event and language make the text, and a CloudEvent over HTTP, signed by the Standard
// Webhooks scheme, carries it.
package push

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/text/language"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

// Since is how old an event may be that buyers are told of when a consumer is made: what
// happened before is no news.
const Since = time.Hour

// defaultLanguage is what a buyer is told in who chose none, or one that there is no template in.
const defaultLanguage = "en"

// messages are the events that buyers may be told of.
func messages() []proto.Message {
	return []proto.Message{
		&orderv1.OrderPaid{},
		&orderv1.OrderCancelled{},
		&orderv1.OrderShipped{},
		&orderv1.OrderDelivered{},
		&orderv1.OrderCompleted{},
		&orderv1.OrderRefunded{},
		&orderv1.OrderReturnChanged{},
		&orderv1.OrderInvoiceChanged{},
	}
}

// news tells whether the event is news to the buyer: who has asked for an invoice knows.
func news(event proto.Message) bool {
	e, ok := event.(*orderv1.OrderInvoiceChanged)
	return !ok || e.GetState() != "REQUESTED"
}

// ConsumerName is the name of the consumer that delivers by [Gateway.Deliver].
const ConsumerName = "push"

// Types are the events' types, for the consumer.
func Types() []string {
	var types []string
	for _, m := range messages() {
		types = append(types, string(m.ProtoReflect().Descriptor().FullName()))
	}
	return types
}

// eventNames are the names that templates have their events by.
func eventNames() []string {
	var names []string
	for _, t := range Types() {
		names = append(names, outbox.NameOf(t))
	}
	slices.Sort(names)
	return names
}

// normalize returns a language tag in its usual letters.
func normalize(tag string) (string, error) {
	t, err := language.Parse(tag)
	if err != nil {
		return "", fmt.Errorf("language %q: %w", tag, err)
	}
	if t == language.Und {
		return "", fmt.Errorf("language %q names none", tag)
	}
	return t.String(), nil
}

// candidates are the languages to look for a template in, the best first.
func candidates(tag string) []string {
	out := []string{tag}
	if t, err := language.Parse(tag); err == nil {
		base, _ := t.Base()
		out = append(out, base.String())
	}
	return slices.Compact(append(out, defaultLanguage))
}
