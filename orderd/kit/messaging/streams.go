package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Ensure makes a stream as want says, unless it is there. Of one that is there it changes only what
// orderd cannot work without: subjects of want's that it lacks, fewer replicas, what want allows and
// denies, and what insist, if not nil, sets. Whatever else an administrator has set stays, such as
// max_bytes, max_age, placement or compression. It returns what of that breaks a promise of orderd's,
// in words for people; none if all is well. Where nothing has to be changed it only looks.
func Ensure(
	ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, insist func(*jetstream.StreamConfig),
) (broken []string, err error) {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Somebody else made it meanwhile, with other settings.
			stream, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	config, changed := needed(stream.CachedInfo().Config, want, insist)
	if changed {
		if _, err := js.UpdateStream(ctx, config); err != nil {
			return nil, fmt.Errorf("changing stream %s: %w", want.Name, err)
		}
	}
	return promises(config, want), nil
}

// Tell logs what [Ensure] says of hand-set streams.
func Tell(log *slog.Logger, broken []string) {
	for _, what := range broken {
		log.Warn("a stream was set by hand so that it does not hold what orderd promises; it is left so", "what", what)
	}
}

// needed is the configuration with what want and insist cannot do without.
func needed(
	have, want jetstream.StreamConfig, insist func(*jetstream.StreamConfig),
) (config jetstream.StreamConfig, changed bool) {
	config = have
	config.Subjects = slices.Clone(have.Subjects)
	for _, subject := range want.Subjects {
		if !slices.ContainsFunc(config.Subjects, func(s string) bool { return covers(s, subject) }) {
			config.Subjects = append(config.Subjects, subject)
		}
	}
	config.Replicas = max(have.Replicas, want.Replicas)
	config.AllowAtomicPublish = have.AllowAtomicPublish || want.AllowAtomicPublish
	config.AllowMsgTTL = have.AllowMsgTTL || want.AllowMsgTTL
	config.AllowRollup = have.AllowRollup || want.AllowRollup
	config.DenyDelete, config.DenyPurge = have.DenyDelete || want.DenyDelete, have.DenyPurge || want.DenyPurge
	// Who asks a stream without it hears its leader.
	config.AllowDirect = want.AllowDirect
	if insist != nil {
		insist(&config)
	}
	changed = len(config.Subjects) != len(have.Subjects) || config.Replicas != have.Replicas ||
		config.AllowAtomicPublish != have.AllowAtomicPublish || config.AllowMsgTTL != have.AllowMsgTTL ||
		config.AllowRollup != have.AllowRollup || config.DenyDelete != have.DenyDelete ||
		config.DenyPurge != have.DenyPurge || config.AllowDirect != have.AllowDirect ||
		config.MaxAge != have.MaxAge || config.SubjectDeleteMarkerTTL != have.SubjectDeleteMarkerTTL
	return config, changed
}

// covers tells whether a stream that takes a pattern takes all of a subject, which may have wildcards.
func covers(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return i < len(s)
		case i >= len(s) || s[i] == ">":
			return false
		case token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

// promises are those that a configuration breaks.
func promises(have, want jetstream.StreamConfig) []string {
	var broken []string
	tell := func(is bool, format string, args ...any) {
		if is {
			broken = append(broken, "stream "+want.Name+": "+fmt.Sprintf(format, args...))
		}
	}
	tell(have.Storage != want.Storage, "storage is %v, not %v", have.Storage, want.Storage)
	tell(have.Retention != want.Retention, "retention is %v, not %v", have.Retention, want.Retention)
	tell(have.Discard != want.Discard, "discard is %v, not %v", have.Discard, want.Discard)
	tell(have.NoAck, "no_ack is set: nobody learns whether a message was stored")
	tell(have.Sealed, "it is sealed: it takes nothing any more")
	tell(have.PersistMode != want.PersistMode, "persist_mode is %v, not %v", have.PersistMode, want.PersistMode)
	tell(below(have.MaxAge, want.MaxAge), "max_age is %s, not %s", limit(have.MaxAge), limit(want.MaxAge))
	tell(below(have.MaxMsgsPerSubject, want.MaxMsgsPerSubject), "max_msgs_per_subject is %d, not %s",
		have.MaxMsgsPerSubject, limit(want.MaxMsgsPerSubject))
	tell(below(have.MaxMsgs, want.MaxMsgs), "max_msgs is %d, not %s", have.MaxMsgs, limit(want.MaxMsgs))
	tell(below(have.MaxBytes, want.MaxBytes), "max_bytes is %d, not %s", have.MaxBytes, limit(want.MaxBytes))
	tell(below(have.MaxMsgSize, want.MaxMsgSize), "max_msg_size is %d bytes, not %s", have.MaxMsgSize,
		limit(want.MaxMsgSize))
	tell(have.Duplicates < want.Duplicates, "duplicate_window is %s, not %s", have.Duplicates, want.Duplicates)
	return broken
}

// bound is a limit of a stream's; there is none if it is not positive.
type bound interface{ ~int32 | ~int64 }

// below tells whether one limit keeps less than another.
func below[N bound](have, want N) bool { return have > 0 && (want <= 0 || have < want) }

func limit[N bound](n N) string {
	if n <= 0 {
		return "without a limit"
	}
	if d, ok := any(n).(time.Duration); ok {
		return d.String()
	}
	return fmt.Sprint(n)
}
