package backends

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// counting counts how often Secrets are read.
type counting struct {
	secrets
	reads atomic.Int32
}

func (c *counting) Get(
	ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption,
) error {
	c.reads.Add(1)
	return c.secrets.Get(ctx, key, o, options...)
}

func TestASecretIsReadOnceInAWhile(t *testing.T) {
	known := &counting{secrets: secrets{"shop": testdb.New(t)}}
	r := newRegistry(t, nil, defaultLimits())
	r.secrets = known
	r.limits.secrets = time.Hour
	ctx, c := reconcileContext(t), orderCluster("shop", "")
	use := func(want int32) {
		t.Helper()
		before := known.reads.Load()
		for range 100 {
			if _, err := r.Database(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		if got := known.reads.Load() - before; got != want {
			t.Errorf("a hundred uses read the Secret %d times, want %d", got, want)
		}
	}
	use(1)
	use(0)
	// A check reads it as it is, and others go by that.
	known.secrets["shop"] = testdb.New(t)
	before, err := r.Database(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckDatabase(ctx, c); err != nil {
		t.Fatal(err)
	}
	use(0)
	if after, err := r.Database(ctx, c); err != nil || after == before {
		t.Errorf("a changed Secret is not used after a check: %v", err)
	}
	// Who has to know whether it is still there asks for it.
	delete(known.secrets, "shop")
	if _, err := r.Database(ctx, c); err != nil {
		t.Errorf("what was read is forgotten: %v", err)
	}
	if _, err := r.Database(Fresh(ctx), c); reason(err) != v1alpha1.ReasonSecretNotFound {
		t.Errorf("a Secret that is gone: %v", err)
	}
	// That it is not there is remembered as well, and as long.
	if _, err := r.Database(ctx, c); reason(err) != v1alpha1.ReasonSecretNotFound {
		t.Errorf("after that: %v", err)
	}
	r.limits.secrets = 0
	known.secrets["shop"] = testdb.New(t)
	if _, err := r.Database(ctx, c); err != nil {
		t.Errorf("it is there again: %v", err)
	}
}

func TestJetStreamsTimeIsCarriedOn(t *testing.T) {
	server := testnats.Run(t)
	before := newFreezer(t, server.URL()[len("nats://"):])
	l := defaultLimits()
	l.clock = 100 * time.Millisecond
	r := newRegistry(t, nil, l)
	ctx, c := reconcileContext(t), orderCluster("shop", "nats://"+before.address())
	never := orderCluster("never", "nats://"+newFreezer(t, "").address())
	if _, err := r.ServerTime(ctx, never); reason(err) != v1alpha1.ReasonUnreachable {
		t.Errorf("of a NATS that never answered: %v", err)
	}
	if _, known := r.ClockSkew(ctx, never, time.Now()); known {
		t.Error("its skew is known")
	}
	right := func(when string) {
		t.Helper()
		now, err := r.ServerTime(ctx, c)
		if off := time.Since(now); err != nil || off < 0 || off > 10*time.Second {
			t.Errorf("%s JetStream's time is %s (%v)", when, now, err)
		}
	}
	right("at first")
	for ahead, want := range map[time.Duration]time.Duration{
		0: 0, 5 * time.Minute: 5 * time.Minute, -5 * time.Minute: -5 * time.Minute,
	} {
		skew, known := r.ClockSkew(ctx, c, time.Now().Add(ahead))
		if !known || (skew-want).Abs() > 5*time.Second {
			t.Errorf("a clock that is %s ahead: %s, %t", ahead, skew, known)
		}
	}
	// It was measured a while ago, and JetStream hangs: who asks waits no longer than for one answer.
	measured := func() time.Duration {
		l, err := r.line(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		age, _ := l.time.Age(r.elapsed())
		return r.elapsed() - age
	}
	before.freeze()
	eventually(t, "it is old", func() bool { return r.elapsed()-measured() > 2*r.limits.clock })
	for range 5 {
		if err := within(t, 4*l.request, "to ask a JetStream that hangs", func() error {
			right("while it hangs")
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	thawed := r.elapsed()
	before.thaw()
	eventually(t, "it is measured again", func() bool {
		right("once it answers")
		return measured() > thawed
	})
}
