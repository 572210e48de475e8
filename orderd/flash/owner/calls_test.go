package owner

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

// idleOwner is one that does not run.
func idleOwner() *Owner {
	promo := promotion.New(&flashv1.Promotion{Uid: "uid"})
	yes := func() bool { return true }
	return New(Options{
		Name: "pod", Promotion: func() *promotion.Promotion { return promo }, Owned: yes, Lease: yes, Clock: time.Now,
		Jitter: func(d time.Duration) time.Duration { return d }, Logger: slog.New(slog.DiscardHandler),
	})
}

// waiting is how many calls of each kind the owner has dispatched.
type waiting struct{ Pending, Questions, Releases, Donations int }

func waitingOf(o *Owner) waiting {
	return waiting{len(o.pending), len(o.questions), len(o.releases), len(o.donations)}
}

// queued is a call, and the refusals that its callers got.
type queued struct {
	call     *call
	refusals func() []error
}

func asQueued[T any](k kind, c *callFor[T]) queued {
	c.kind = k
	return queued{&c.call, func() []error {
		select {
		case r := <-c.reply:
			return []error{r.err}
		default:
			return nil
		}
	}}
}

// example of a kind of call, and where it is dispatched to.
type example struct {
	make func(context.Context) queued
	want waiting
}

// kinds has an example of each kind.
func kinds() map[string]example {
	return map[string]example{
		"reserveCall": {func(ctx context.Context) queued {
			var refusals []error
			c := &reserveCall{call: call{ctx: ctx}, requests: make([]request, 2)}
			c.kind = c
			c.answer = func(_ int, _ *flashv1.PlaceFlashOrderResponse, err error) { refusals = append(refusals, err) }
			for i := range c.requests {
				c.requests[i] = request{call: c, index: i}
			}
			return queued{&c.call, func() []error { return refusals }}
		}, waiting{Pending: 2}},
		"lookupCall": {func(ctx context.Context) queued {
			c := &lookupCall{callFor: newCallFor[*flashv1.GetFlashOrderResponse](ctx)}
			return asQueued(c, &c.callFor)
		}, waiting{Questions: 1}},
		"findCall": {func(ctx context.Context) queued {
			c := &findCall{callFor: newCallFor[foundOrder](ctx)}
			return asQueued(c, &c.callFor)
		}, waiting{Questions: 1}},
		"levelsCall": {func(ctx context.Context) queued {
			c := &levelsCall{callFor: newCallFor[Levels](ctx)}
			return asQueued(c, &c.callFor)
		}, waiting{Questions: 1}},
		"releaseCall": {func(ctx context.Context) queued {
			c := &releaseCall{callFor: newCallFor[flashv1.ReleaseOutcome](ctx), order: uuid.New()}
			return asQueued(c, &c.callFor)
		}, waiting{Releases: 1}},
		"transferCall": {func(ctx context.Context) queued {
			c := &transferCall{callFor: newCallFor[*flashv1.TransferResponse](ctx)}
			return asQueued(c, &c.callFor)
		}, waiting{Donations: 1}},
	}
}

// Each kind of call goes to its own place, and everybody who waits gets an answer when the owner
// cannot give a real one.
func TestEachKindOfCallIsDispatchedAndAnswered(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range kinds() {
		t.Run(name, func(t *testing.T) {
			o := idleOwner()
			q := test.make(t.Context())
			if err := o.enqueue(q.call); err != nil {
				t.Fatal(err)
			}
			size := q.call.kind.size()
			if got := o.queued.Load(); got != size {
				t.Errorf("%d requests are in the queue, want %d", got, size)
			}
			o.dispatchQueued()
			if diff := cmp.Diff(test.want, waitingOf(o)); diff != "" || o.queued.Load() != 0 {
				t.Errorf("dispatched (-want +got), %d left in the queue:\n%s", o.queued.Load(), diff)
			}
			o.refuseWaiting(refused)
			refusals := q.refusals()
			if int64(len(refusals)) != size || !errors.Is(errors.Join(refusals...), refused) {
				t.Errorf("refusals %v, want %d", refusals, size)
			}
			if diff := cmp.Diff(waiting{}, waitingOf(o)); diff != "" {
				t.Errorf("after all were refused (-want +got):\n%s", diff)
			}
		})
	}
}

// Nobody works for a caller who is gone, but requests to reserve are answered whatever happens: who
// sent many counts the answers.
func TestCallsOfThoseWhoAreGone(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range kinds() {
		t.Run(name, func(t *testing.T) {
			o := idleOwner()
			q := test.make(gone)
			if err := o.enqueue(q.call); err != nil {
				t.Fatal(err)
			}
			o.dispatchQueued()
			want := waiting{Pending: test.want.Pending}
			if diff := cmp.Diff(want, waitingOf(o)); diff != "" || o.queued.Load() != 0 {
				t.Errorf("dispatched (-want +got), %d left in the queue:\n%s", o.queued.Load(), diff)
			}
		})
	}
}

// A kind that does not say where it is dispatched to does not compile. This wants that each one
// that does is tested.
func TestEachKindOfCallIsKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "calls.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := kinds()
	found := 0
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Recv == nil || f.Name.Name != "dispatch" {
			continue
		}
		found++
		name := f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
		if _, ok := known[name]; !ok {
			t.Errorf("no test makes a %s", name)
		}
	}
	if found != len(known) {
		t.Errorf("calls.go has %d kinds, the tests %d", found, len(known))
	}
}
