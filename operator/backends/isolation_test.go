package backends

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// secrets are what a Registry reads: the database's URL by the name of its Secret.
type secrets map[string]string

func (s secrets) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	value, ok := s[key.Name]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	o.(*corev1.Secret).Data = map[string][]byte{"url": []byte(value)}
	return nil
}

func (s secrets) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nobody lists Secrets")
}

// orderCluster whose database's Secret has its own name.
func orderCluster(name, natsURL string) *v1alpha1.OrderCluster {
	return &v1alpha1.OrderCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shops", Name: name, UID: types.UID(name)},
		Spec: v1alpha1.OrderClusterSpec{
			Database: v1alpha1.DatabaseSpec{
				URLSecretRef: v1alpha1.SecretKeyReference{Name: name, Key: "url"}, Insecure: ptr.To(true),
			},
			Messaging: v1alpha1.MessagingSpec{URL: natsURL, Insecure: ptr.To(true)},
		},
	}
}

func newRegistry(t *testing.T, s secrets, l limits) *Registry {
	t.Helper()
	r := NewRegistry(s, slog.New(slog.DiscardHandler))
	r.limits = l
	t.Cleanup(r.Close)
	return r
}

// reconcileContext is what a reconcile gives to all that it calls.
func reconcileContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func reason(err error) string {
	var problem *Error
	if !errors.As(err, &problem) {
		return fmt.Sprint(err)
	}
	return problem.Reason
}

// within fails the test unless the call ends in time.
func within(t *testing.T, d time.Duration, what string, call func() error) error {
	t.Helper()
	begun := time.Now()
	err := call()
	if took := time.Since(begun); took > d {
		t.Errorf("%s took %s, more than %s", what, took, d)
	}
	return err
}

// atOnce is long for what asks nobody, and short for what waits.
const atOnce = 500 * time.Millisecond

func TestANATSThatNeverAnswersKeepsNobody(t *testing.T) {
	dead := newFreezer(t, "")
	l := defaultLimits()
	l.check, l.patience = 3*time.Second, time.Second
	r := newRegistry(t, nil, l)
	ctx := reconcileContext(t)
	silent, healthy := orderCluster("silent", "nats://"+dead.address()), orderCluster("healthy", testnats.Run(t).URL())
	open := func(c *v1alpha1.OrderCluster) func() error {
		return func() error { _, err := r.JetStream(ctx, c); return err }
	}
	var group sync.WaitGroup
	var checked time.Time
	group.Go(func() {
		if err := within(t, 2*l.check, "a check", func() error { return r.CheckMessaging(ctx, silent) }); reason(err) !=
			v1alpha1.ReasonUnreachable {
			t.Error(err)
		}
		checked = time.Now()
	})
	// As many promotions as there may be.
	for range 16 {
		group.Go(func() {
			err := within(t, l.check-atOnce, "to wait for others' connection", open(silent))
			if reason(err) != v1alpha1.ReasonUnreachable {
				t.Error(err)
			}
		})
	}
	if err := open(healthy)(); err != nil {
		t.Error(err)
	}
	answered := time.Now()
	ended, end := context.WithCancel(ctx)
	end()
	err := within(t, atOnce, "a caller who is gone", func() error { return r.CheckMessaging(ended, silent) })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	group.Wait()
	if answered.After(checked) {
		t.Error("the healthy one waited for the dead one")
	}
	if n := dead.taken.Load(); n != 1 {
		t.Errorf("%d connections were tried at once", n)
	}
	if err := within(t, atOnce, "to ask again", open(silent)); reason(err) != v1alpha1.ReasonUnreachable ||
		dead.taken.Load() != 1 {
		t.Errorf("%v; %d connections were tried", err, dead.taken.Load())
	}
	// Other settings are tried at once.
	silent.Spec.Messaging.URL = testnats.Run(t).URL()
	if err := within(t, 2*time.Second, "another URL", open(silent)); err != nil {
		t.Error(err)
	}
}

func TestAJetStreamThatHangsIsLeftAlone(t *testing.T) {
	server := testnats.Run(t)
	before := newFreezer(t, strings.TrimPrefix(server.URL(), "nats://"))
	l := defaultLimits()
	l.request, l.ping = 500*time.Millisecond, time.Minute
	r := newRegistry(t, nil, l)
	ctx := reconcileContext(t)
	hung, healthy := orderCluster("hung", "nats://"+before.address()), orderCluster("healthy", testnats.Run(t).URL())
	for _, c := range []*v1alpha1.OrderCluster{hung, healthy} {
		if err := r.CheckMessaging(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	before.freeze()
	work := func(c *v1alpha1.OrderCluster) func() error {
		return func() error {
			js, err := r.JetStream(ctx, c)
			if err == nil {
				err = sale.EnsureBuckets(ctx, js, 1)
			}
			return err
		}
	}
	if err := within(t, 4*l.request, "a call that hangs", work(hung)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := within(t, l.request/2, "the next one", work(hung)); reason(err) != v1alpha1.ReasonJetStreamUnavailable {
		t.Error(err)
	}
	if err := within(t, 4*l.request, "a check", func() error { return r.CheckMessaging(ctx, hung) }); reason(err) !=
		v1alpha1.ReasonJetStreamUnavailable {
		t.Error(err)
	}
	if err := within(t, time.Second, "the healthy one", work(healthy)); err != nil {
		t.Error(err)
	}
	before.thaw()
	if err := r.CheckMessaging(ctx, hung); err != nil {
		t.Error(err)
	}
	if err := work(hung)(); err != nil {
		t.Errorf("after a check that was answered: %v", err)
	}
}

func TestADatabaseThatNeverAnswersIsLeftAlone(t *testing.T) {
	dead := newFreezer(t, "")
	l := defaultLimits()
	l.check, l.connect = 500*time.Millisecond, 500*time.Millisecond
	known := secrets{"silent": "postgres://u:p@" + dead.address() + "/d?sslmode=disable", "healthy": testdb.New(t)}
	r := newRegistry(t, known, l)
	ctx := reconcileContext(t)
	silent, healthy := orderCluster("silent", ""), orderCluster("healthy", "")
	query := func(c *v1alpha1.OrderCluster) func() error {
		return func() error {
			pool, err := r.Database(ctx, c)
			if err == nil {
				_, err = pool.Exec(ctx, "SELECT 1")
			}
			return err
		}
	}
	if err := within(t, 2*l.check, "a check", func() error { return r.CheckDatabase(ctx, silent) }); reason(err) !=
		v1alpha1.ReasonUnreachable {
		t.Error(err)
	}
	// Those who come before it is known wait, but not for long.
	if err := within(t, 2*l.connect, "a statement", query(silent)); err == nil {
		t.Error("it was answered")
	}
	if err := within(t, 2*time.Second, "the healthy one", query(healthy)); err != nil {
		t.Error(err)
	}
	// The connections that they waited for are given up after 5 seconds, which counts for all.
	eventually(t, "an error at once", func() bool {
		_, err := r.Database(ctx, silent)
		return reason(err) == v1alpha1.ReasonUnreachable
	})
	known["silent"] = known["healthy"]
	// A Secret that changed wakes a check, which reads it; others use for a moment what was read before.
	if err := r.CheckDatabase(ctx, silent); err != nil {
		t.Error(err)
	}
	if err := within(t, 2*time.Second, "another URL", query(silent)); err != nil {
		t.Error(err)
	}
}

func TestAStatementThatHangsEndsBeforeItsContext(t *testing.T) {
	real, err := url.Parse(testdb.New(t))
	if err != nil {
		t.Fatal(err)
	}
	before := newFreezer(t, real.Host)
	behind := *real
	behind.Host = before.address()
	l := defaultLimits()
	l.statement = 500 * time.Millisecond
	r := newRegistry(t, secrets{"hung": behind.String(), "healthy": real.String()}, l)
	ctx := reconcileContext(t)
	hung, healthy := orderCluster("hung", ""), orderCluster("healthy", "")
	pool, err := r.Database(ctx, hung)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	before.freeze()
	if err := within(t, 4*l.statement, "a statement", func() error {
		_, err := pool.Exec(ctx, "SELECT 1")
		return err
	}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := r.Database(ctx, hung); reason(err) != v1alpha1.ReasonUnreachable {
		t.Errorf("after that: %v", err)
	}
	check := func() error { return r.CheckDatabase(ctx, healthy) }
	if err := within(t, 2*time.Second, "the healthy one", check); err != nil {
		t.Error(err)
	}
	before.thaw()
	if err := r.CheckDatabase(ctx, hung); err != nil {
		t.Error(err)
	}
	if _, err := r.Database(ctx, hung); err != nil {
		t.Errorf("after a check that was answered: %v", err)
	}
}

// eventually asks until it holds, for 30 seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
