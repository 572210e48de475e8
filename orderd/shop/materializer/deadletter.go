package materializer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// publishTimeout bounds the publishing of one dead letter.
const publishTimeout = 5 * time.Second

// lettersAtOnce is how many of a chunk's are on their way at once.
const lettersAtOnce = 16

// bury takes out the chunk's orders, but for those that turn out to be in the database.
func (c *chunk) bury(ctx context.Context, reasons map[uuid.UUID]string) {
	unwritable := make([]order.Unwritable, len(c.orders))
	for i, o := range c.orders {
		unwritable[i] = order.Unwritable{Order: o, Reason: reasons[o.OrderID]}
	}
	c.takeOut(ctx, unwritable, func(u order.Unwritable, refused map[uuid.UUID]bool) bool {
		return refused[u.Order.OrderID]
	})
}

// takeOut takes the chunk's orders out for good: first the database decides that they are not written,
// so that no redelivery writes them any more and the Releaser gives their stock back; then those that
// are dead are dead letters; then their records are done with. A crash in between repeats it from the
// start, which changes nothing. An order that does not fit is a dead letter also where another one in
// the database has its id, which stays as it is.
func (c *chunk) takeOut(
	ctx context.Context, unwritable []order.Unwritable, dead func(order.Unwritable, map[uuid.UUID]bool) bool,
) {
	var refused map[uuid.UUID]bool
	err := c.persist(ctx, "refused orders were not marked", func() error {
		return c.transact(ctx, func(ctx context.Context) (err error) {
			refused, err = c.options.Writer.Refuse(ctx, unwritable)
			return err
		})
	})
	if err == nil {
		err = c.publishAll(ctx,
			slices.DeleteFunc(unwritable, func(u order.Unwritable) bool { return !dead(u, refused) }))
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		c.putBack()
		return
	}
	c.finish()
}

func (c *chunk) publishAll(ctx context.Context, orders []order.Unwritable) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lettersAtOnce)
	for _, r := range orders {
		group.Go(func() error {
			err := c.persist(ctx, "a dead letter was not published", func() error { return c.publish(ctx, c.letter(r)) })
			if err == nil {
				c.unwritable.Inc()
				c.log.Error("an accepted order cannot be written: it is a dead letter, and its stock goes back", "order",
					r.Order.OrderID, "reason", r.Reason)
			}
			return err
		})
	}
	return group.Wait()
}

// persist tries again for a while, after which a record is better put back than kept.
func (c *chunk) persist(ctx context.Context, failure string, do func() error) error {
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.failures.Inc()
		c.log.Warn(failure, "attempt", attempt, "error", err)
		if attempt >= patience {
			return err
		}
		c.pause(ctx, attempt)
	}
}

// letter is a CloudEvent in binary mode, as the dead letters of events are, with the reservation as
// its data. An order has one subject, which holds one message.
func (c *chunk) letter(r order.Unwritable) *nats.Msg {
	id := r.Order.OrderID.String()
	reservation := r.Order.Reservation()
	msg := c.newLetter(id, r.Reason)
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "ce-source": c.options.Source, "ce-subject": id,
		"ce-type":            string(reservation.ProtoReflect().Descriptor().FullName()),
		"ce-time":            r.Order.AcceptedAt.UTC().Format(time.RFC3339Nano),
		"ce-datacontenttype": "application/protobuf",
	} {
		msg.Header.Set(name, value)
	}
	// It was decoded from protobuf, so it can be encoded again.
	msg.Data, _ = proto.Marshal(reservation)
	return msg
}

func (s *stream) newLetter(id, reason string) *nats.Msg {
	msg := nats.NewMsg(consume.DeadLetterSubjectOf(prepare.MaterializerConsumer, id))
	for name, value := range map[string]string{
		consume.HeaderConsumer: prepare.MaterializerConsumer, consume.HeaderReason: consume.Reason(reason),
		consume.HeaderAttempts: "1",
		consume.HeaderFailedAt: s.options.Clock().UTC().Format(time.RFC3339Nano), headerPromotion: s.promo.GetUid(),
		jetstream.ExpectedStreamHeader: consume.DeadLetters, jetstream.MsgIDHeader: prepare.MaterializerConsumer + "." + id,
	} {
		msg.Header.Set(name, value)
	}
	return msg
}

// headerPromotion is the uid of a dead letter's promotion.
const headerPromotion = "Orderd-Promotion"

// buryRecord makes a dead letter of a record that cannot be read, as it is. Nobody knows
// its orders, so that nothing can be released. It tells whether that is done; else the
// record has to come again.
func (s *stream) buryRecord(ctx context.Context, r *record, cause error) bool {
	s.unreadable.Inc()
	meta, err := r.Metadata()
	if err == nil {
		id := s.name + "-" + strconv.FormatUint(meta.Sequence.Stream, 10)
		msg := s.newLetter(id, cause.Error())
		msg.Data = r.Data()
		err = s.publish(ctx, msg)
	}
	s.log.Error("a record cannot be read: its orders are not written and their stock stays sold", "stream", s.name,
		"subject", r.Subject(), "error", cause)
	if err != nil {
		s.log.Warn("a dead letter was not published", "stream", s.name, "error", err)
	}
	return err == nil
}

func (s *stream) publish(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := s.options.JetStream.PublishMsg(ctx, msg)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		var broken []string
		if broken, err = consume.EnsureDeadLetters(ctx, s.options.JetStream, s.options.Replicas); err == nil {
			messaging.Tell(s.log, broken)
			_, err = s.options.JetStream.PublishMsg(ctx, msg)
		}
	}
	if err != nil {
		return fmt.Errorf("publishing dead letter %s: %w", msg.Subject, err)
	}
	return nil
}
