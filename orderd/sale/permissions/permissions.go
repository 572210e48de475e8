// Package permissions says what each role may do in an OrderCluster's NATS account: the subjects that
// its credentials may publish to and listen at, and no others. What an administrator gives a NATS server
// is generated from it.
//
// What the permissions cannot hold: whoever may ask JetStream for anything names the subject of the
// answer, which the server does not check, and so can have an answer, or a message that it may read,
// put into a stream that it may not write. That is why the materializer and the consumers of events
// believe nothing that they can look up; a stranger belongs into an account of its own.
package permissions

import (
	"slices"

	"github.com/orderd-dev/orderd/orderd/flash/board"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// Permissions are subjects, with NATS wildcards.
type Permissions struct {
	// Publish to these, but not to those of DenyPublish.
	Publish, DenyPublish []string
	// Subscribe to these.
	Subscribe []string
}

// The streams by the names that requests to JetStream have.
var (
	events, letters = outbox.Stream, consume.DeadLetters
	promotions      = prepare.BucketStream(prepare.PromotionsBucket)
	members         = prepare.BucketStream(prepare.MembersBucket)
	account         = prepare.BucketStream(sale.AccountBucket)
)

// Durables are the consumers of events that worker pods have.
func Durables() []string {
	return []string{
		desk.ConsumerName, invoice.ConsumerName, payment.CloserName, push.ConsumerName, reward.ConsumerName,
		shipment.ConsumerName,
	}
}

// Of a role; the zero value for an unknown one.
func Of(role messaging.Role) Permissions {
	var p Permissions
	switch role {
	case messaging.RoleFlash:
		p = flash()
	case messaging.RoleWorker:
		p = worker()
	case messaging.RoleStandard:
		p = standard()
	case messaging.RoleOperator:
		p = operator()
	case messaging.RoleReader:
		p = reader()
	default:
		return p
	}
	p.Subscribe = append(p.Subscribe, role.InboxPrefix()+".>")
	return p
}

// api is the subject of a request to JetStream.
func api(request string) string { return "$JS.API." + request }

// acks are the subjects at which a stream's consumer hears what became of its messages, in both forms
// that servers have.
func acks(stream, consumer string) []string {
	return []string{"$JS.ACK." + stream + "." + consumer + ".>", "$JS.ACK.*.*." + stream + "." + consumer + ".>"}
}

// watch is what following all keys of a bucket needs.
func watch(bucket string) []string {
	stream := prepare.BucketStream(bucket)
	return []string{
		api("STREAM.INFO." + stream),
		api("CONSUMER.CREATE." + stream + ".*." + prepare.BucketSubjects(bucket)),
		api("CONSUMER.DELETE." + stream + ".*"),
		"$JS.FC." + stream + ".>", "$JS.FC.*.*." + stream + ".>",
	}
}

// flash pods append to logs and read those of their partitions, are members, and tell each other levels.
// The streams' names have the promotions' uids, so that they are held by what they are not.
func flash() Permissions {
	p := Permissions{
		Publish: slices.Concat(
			[]string{
				plog.LogSubjects, board.LevelsSubjects, "$KV." + prepare.MembersBucket + ".*",
				api("STREAM.INFO.*"), api("STREAM.MSG.GET.*"),
				api("STREAM.CREATE." + promotions), api("STREAM.CREATE." + members), api("STREAM.UPDATE." + members),
				api("CONSUMER.CREATE.*.*." + plog.LogSubjects), api("CONSUMER.MSG.NEXT.*.*"), api("CONSUMER.DELETE.*.*"),
			},
			watch(prepare.PromotionsBucket), watch(prepare.MembersBucket),
		),
		Subscribe: []string{board.LevelsSubjects},
	}
	for _, stream := range []string{events, letters, account} {
		p.DenyPublish = append(p.DenyPublish, api("STREAM.INFO."+stream), api("STREAM.MSG.GET."+stream),
			api("CONSUMER.CREATE."+stream+".>"), api("CONSUMER.MSG.NEXT."+stream+".*"), api("CONSUMER.DELETE."+stream+".*"))
	}
	p.DenyPublish = append(p.DenyPublish, ofConsumer("*", prepare.MaterializerConsumer)...)
	return p
}

// ofConsumer are the requests by which a consumer is made, changed, read or removed.
func ofConsumer(stream, consumer string) []string {
	name := stream + "." + consumer
	return []string{
		api("CONSUMER.CREATE." + name), api("CONSUMER.CREATE." + name + ".>"), api("CONSUMER.DURABLE.CREATE." + name),
		api("CONSUMER.MSG.NEXT." + name), api("CONSUMER.DELETE." + name),
	}
}

// worker pods read logs by the materializer's consumer, which the operator makes, and publish events and
// dead letters, and read events by consumers of their own.
func worker() Permissions {
	p := Permissions{Publish: slices.Concat(
		[]string{
			outbox.EventSubjects, consume.DeadLetterSubject(""),
			api("STREAM.INFO.*"), api("STREAM.MSG.GET.*"), api("DIRECT.GET." + events),
			api("STREAM.CREATE." + events), api("STREAM.UPDATE." + events),
			api("STREAM.CREATE." + letters), api("STREAM.UPDATE." + letters), api("STREAM.PURGE." + letters),
			api("CONSUMER.INFO.*." + prepare.MaterializerConsumer), api("CONSUMER.MSG.NEXT.*." + prepare.MaterializerConsumer),
		},
		acks("*", prepare.MaterializerConsumer),
		watch(prepare.PromotionsBucket),
	)}
	for _, durable := range Durables() {
		name := events + "." + durable
		p.Publish = append(p.Publish, api("CONSUMER.CREATE."+name), api("CONSUMER.INFO."+name),
			api("CONSUMER.MSG.NEXT."+name))
		p.Publish = append(p.Publish, acks(events, durable)...)
	}
	return p
}

// standard pods show dead letters, and have them replayed or removed; they look whether there are
// promotions at all; and they read events for those who watch orders, by a consumer without a name of
// its own, which is none of the workers'.
func standard() Permissions {
	p := Permissions{Publish: slices.Concat(
		[]string{
			outbox.ReplaySubjects,
			api("STREAM.INFO." + letters), api("STREAM.CREATE." + letters), api("DIRECT.GET." + letters),
			api("STREAM.MSG.DELETE." + letters), api("CONSUMER.INFO." + events + ".*"),
			api("STREAM.INFO." + events), api("CONSUMER.CREATE." + events + ".*." + outbox.EventSubjects),
			api("CONSUMER.MSG.NEXT." + events + ".*"),
		},
		watch(prepare.PromotionsBucket),
	)}
	for _, durable := range Durables() {
		p.DenyPublish = append(p.DenyPublish, ofConsumer(events, durable)...)
	}
	return p
}

// operator makes the streams and buckets, tells the pods of promotions, and opens, counts and closes the
// logs. It removes logs, and no other stream.
func operator() Permissions {
	p := Permissions{Publish: []string{
		plog.LogSubjects, "$KV." + prepare.PromotionsBucket + ".*", "$KV." + sale.AccountBucket + ".*",
		api("INFO"), api("STREAM.INFO.*"), api("STREAM.CREATE.*"), api("STREAM.UPDATE.*"), api("STREAM.DELETE.*"),
		api("STREAM.MSG.GET.*"), api("DIRECT.GET." + promotions + ".>"), api("DIRECT.GET." + account + ".>"),
		api("CONSUMER.CREATE.*.*"), api("CONSUMER.CREATE.*.*." + plog.LogSubjects), api("CONSUMER.INFO.*.*"),
		api("CONSUMER.MSG.NEXT.*.*"), api("CONSUMER.DELETE.*.*"),
	}}
	for _, stream := range []string{events, letters, promotions, members, account} {
		p.DenyPublish = append(p.DenyPublish, api("STREAM.DELETE."+stream))
	}
	for _, stream := range []string{events, letters} {
		p.DenyPublish = append(p.DenyPublish, api("STREAM.MSG.GET."+stream), api("CONSUMER.CREATE."+stream+".>"),
			api("CONSUMER.MSG.NEXT."+stream+".*"), api("CONSUMER.DELETE."+stream+".*"))
	}
	p.DenyPublish = append(p.DenyPublish, api("CONSUMER.MSG.NEXT.*."+prepare.MaterializerConsumer))
	return p
}

// reader has consumers of events, under whatever names but those of worker pods.
func reader() Permissions {
	p := Permissions{Publish: slices.Concat(
		[]string{
			api("STREAM.INFO." + events), api("STREAM.NAMES"), api("CONSUMER.NAMES." + events),
			api("CONSUMER.CREATE." + events + ".*"), api("CONSUMER.CREATE." + events + ".*." + outbox.EventSubjects),
			api("CONSUMER.DURABLE.CREATE." + events + ".*"),
			api("CONSUMER.INFO." + events + ".*"), api("CONSUMER.MSG.NEXT." + events + ".*"),
			api("CONSUMER.DELETE." + events + ".*"),
			"$JS.FC." + events + ".>", "$JS.FC.*.*." + events + ".>",
		},
		acks(events, "*"),
	)}
	for _, durable := range Durables() {
		p.DenyPublish = append(append(p.DenyPublish, ofConsumer(events, durable)...), acks(events, durable)...)
	}
	return p
}
