package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
)

var saleStart = time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)

// promotion of an hour, with what is known of it from before.
func promotion(known ...metav1.Condition) *v1alpha1.PromotionEvent {
	p := &v1alpha1.PromotionEvent{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sale", UID: "uid", Generation: 2}}
	p.Spec.StartTime, p.Spec.EndTime = metav1.NewTime(saleStart), metav1.NewTime(saleStart.Add(time.Hour))
	p.Status.Conditions, p.Status.ObservedGeneration = known, 1
	return p
}

func known(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason}
}

// found makes the preparations true, and the others false for a reason.
func found(s *scope, done int) {
	for i, condition := range preparations {
		if i < done {
			s.report.True(condition, "Test", "done")
		} else {
			s.report.False(condition, v1alpha1.ReasonScaling, "1 of 3 pods")
		}
	}
}

// later has everything but the pods, whose time has not come.
func later(s *scope) {
	found(s, 3)
	s.report.False(v1alpha1.ConditionFlashPoolReady, v1alpha1.ReasonScheduled, "later")
}

// lifeCases are what is told of a promotion at a time after its start, and by which events.
var lifeCases = map[string]struct {
	known  []metav1.Condition
	ready  bool
	paused bool
	now    time.Duration
	find   func(*scope)
	want   map[string]string
	phase  v1alpha1.PromotionPhase
	events []string
}{
	"lost while live": {
		known: []metav1.Condition{known("Ready", "True", "Selling"), known("Late", "False", "InTime")}, ready: true,
		now: time.Minute, find: func(s *scope) { found(s, 3) }, phase: "Live",
		want:   map[string]string{"Ready": "False/Provisioning", "Late": "True/ReadinessLost", "Stalled": "False/AsExpected"},
		events: []string{"Warning ReadinessLost not ready any more: FlashPoolReady: 1 of 3 pods"},
	},
	"lost between prewarm and start": {
		known: []metav1.Condition{known("Ready", "True", "ReadyToStart"), known("Late", "False", "InTime")}, ready: true,
		now: -time.Minute, find: func(s *scope) { found(s, 3) }, phase: "Provisioning",
		want:   map[string]string{"Ready": "False/Provisioning", "Late": "True/ReadinessLost"},
		events: []string{"Warning ReadinessLost not ready any more: FlashPoolReady: 1 of 3 pods"},
	},
	"still lost": {
		known: []metav1.Condition{known("Ready", "False", "Provisioning"), known("Late", "True", "ReadinessLost")},
		ready: true,
		now:   time.Minute, find: func(s *scope) { found(s, 3) }, phase: "Live",
		want: map[string]string{"Ready": "False/Provisioning", "Late": "True/ReadinessLost"},
	},
	"lost while paused": {
		known: []metav1.Condition{known("Ready", "False", "Paused"), known("Late", "False", "InTime")},
		ready: true, paused: true,
		now: time.Minute, find: func(s *scope) { found(s, 3) }, phase: "Paused",
		want:   map[string]string{"Ready": "False/Provisioning", "Late": "True/ReadinessLost"},
		events: []string{"Warning ReadinessLost not ready any more: FlashPoolReady: 1 of 3 pods"},
	},
	"moved to next week": {
		known: []metav1.Condition{known("Ready", "True", "ReadyToStart")}, ready: true,
		now: -7 * 24 * time.Hour, phase: "Scheduled", find: later,
		want: map[string]string{"Ready": "True/Scheduled", "Late": "False/InTime", "Reconciling": "False/AsExpected"},
		events: []string{
			"Normal Rescheduled the start was moved to 2026-11-11T12:00:00Z: stock and partitions are ready; 0 pods are made at",
		},
	},
	"months away": {
		now: -100 * 24 * time.Hour, phase: "Scheduled",
		find: func(s *scope) {
			found(s, 1)
			s.scheduled = true
		},
		want: map[string]string{
			"Ready": "True/Scheduled", "Late": "False/InTime", "Reconciling": "False/AsExpected", "Stalled": "False/AsExpected",
		},
	},
	"at the time of its preparation": {
		known: []metav1.Condition{known("Ready", "True", "Scheduled")},
		now:   -65 * time.Minute, phase: "Provisioning", find: func(s *scope) { found(s, 2) },
		want: map[string]string{"Ready": "False/Provisioning", "Late": "False/InTime", "Reconciling": "True/Provisioning"},
	},
	"prepared, and its pods come later": {
		known: []metav1.Condition{known("Ready", "False", "Provisioning")},
		now:   -time.Hour, phase: "Scheduled", find: later,
		want: map[string]string{"Ready": "True/Scheduled", "Late": "False/InTime", "Reconciling": "False/AsExpected"},
	},
	"paused while live": {
		known: []metav1.Condition{known("Ready", "True", "Selling")}, ready: true, paused: true,
		now: time.Minute, find: func(s *scope) { found(s, 4) }, phase: "Paused",
		want: map[string]string{
			"Ready": "False/Paused", "Late": "False/InTime", "Paused": "True/PausedBySpec", "Stalled": "False/AsExpected",
			"Reconciling": "False/AsExpected",
		},
	},
	"paused before the start": {
		ready: true, paused: true, now: -time.Minute, find: func(s *scope) { found(s, 4) }, phase: "Ready",
		want: map[string]string{"Ready": "True/ReadyToStart", "Paused": "True/PausedBySpec"},
	},
	"ready after the start": {
		now: 12 * time.Second, find: func(s *scope) { found(s, 4) }, phase: "Live",
		want: map[string]string{"Ready": "True/Selling", "Late": "False/InTime"},
		events: []string{
			"Normal Live the sale is live", "Normal Ready stock, partitions and pods are ready, 12s after the start",
		},
	},
	"never opened": {
		known: []metav1.Condition{known("Settled", "True", "NeverOpened")},
		now:   2 * time.Hour, find: func(*scope) {}, phase: "Settled",
		want: map[string]string{
			"Ready": "False/NeverOpened", "Stalled": "True/NeverOpened", "Reconciling": "False/AsExpected",
			"Late": "False/Ended",
		},
	},
	"the API server did not answer": {
		known: []metav1.Condition{known("Ready", "True", "Selling"), known("Stalled", "False", "AsExpected")}, ready: true,
		now: time.Minute, find: func(s *scope) { s.failed(errors.New("timed out")) }, phase: "Live",
		want:   map[string]string{"Ready": "True/Selling", "Reconciling": "True/ApplyFailed", "Stalled": "False/AsExpected"},
		events: []string{"Warning ApplyFailed timed out"},
	},
}

func TestTheConditionsFollowALife(t *testing.T) {
	for name, tt := range lifeCases {
		t.Run(name, func(t *testing.T) {
			p := promotion(tt.known...)
			p.Spec.Paused = ptr.To(tt.paused)
			if tt.ready {
				p.Status.ReadyTime = metav1.NewTime(saleStart.Add(-10 * time.Minute))
				if tt.now > 0 {
					p.Status.Phase = v1alpha1.PhaseLive
				}
			}
			s := newScope(p, saleStart.Add(tt.now))
			tt.find(s)
			s.summarize()
			for condition, want := range tt.want {
				got := s.report.Get(condition)
				if got == nil || string(got.Status)+"/"+got.Reason != want {
					t.Errorf("%s is %v, want %s", condition, got, want)
				}
			}
			if p.Status.Phase != tt.phase {
				t.Errorf("phase %s, want %s", p.Status.Phase, tt.phase)
			}
			told := toldBy(t, s)
			if len(told) != len(tt.events) {
				t.Errorf("events %q, want %q", told, tt.events)
			}
			for i, want := range tt.events {
				if i < len(told) && !strings.HasPrefix(told[i], want) {
					t.Errorf("event %q, want %q", told[i], want)
				}
			}
		})
	}
}

// toldBy are the events of the scope.
func toldBy(t *testing.T, s *scope) []string {
	t.Helper()
	recorder := events.NewFakeRecorder(100)
	if err := s.report.Apply(t.Context(), nil, recorder, 0, 0); err != nil {
		t.Fatal(err)
	}
	var told []string
	for len(recorder.Events) > 0 {
		told = append(told, <-recorder.Events)
	}
	return told
}

func TestAStartThatIsMovedHasToBecomeReadyOnceMore(t *testing.T) {
	p := promotion(known("Ready", "True", "ReadyToStart"))
	p.Status.ReadyTime = metav1.NewTime(saleStart)
	p.Spec.StartTime = metav1.NewTime(saleStart.Add(7 * 24 * time.Hour))
	p.Spec.EndTime = metav1.NewTime(p.Spec.StartTime.Add(time.Hour))
	s := newScope(p, saleStart)
	found(s, 3)
	s.summarize()
	if !p.Status.ReadyTime.IsZero() {
		t.Errorf("readyTime is %s", p.Status.ReadyTime)
	}
	late := newScope(p, p.ReadyDeadline())
	found(late, 3)
	late.summarize()
	if got := late.report.Get(v1alpha1.ConditionLate); got.Reason != v1alpha1.ReasonNotReadyInTime {
		t.Errorf("Late is %s, want NotReadyInTime", got.Reason)
	}
}

func TestNothingIsObservedThatThePodsWereNotTold(t *testing.T) {
	for unpublished, want := range map[bool]int64{true: 1, false: 2} {
		p := promotion()
		s := newScope(p, saleStart)
		found(s, 4)
		s.unpublished = unpublished
		s.summarize()
		if p.Status.ObservedGeneration != want {
			t.Errorf("unpublished %t: observedGeneration is %d, want %d", unpublished, p.Status.ObservedGeneration, want)
		}
	}
}

func TestManySKUsFitIntoAnEvent(t *testing.T) {
	var missing []sale.Quantity
	var lines []string
	for i := range 1000 {
		sku := fmt.Sprintf("sku-%04d-%s", i, strings.Repeat("x", 55))
		missing = append(missing, sale.Quantity{SKU: sku, Quantity: 100_000_000})
		lines = append(lines, sku+": sold 10 in the log, 11 in the database")
	}
	r := &Reconciler{Log: slog.New(slog.DiscardHandler)}
	s := newScope(promotion(), saleStart)
	r.notAllocated(s, v1alpha1.ReasonInsufficientStock, "missing "+unitsOf(missing)+"; nothing was taken")
	r.notToppedUp(s, v1alpha1.ReasonInsufficientStock, "missing "+unitsOf(missing))
	s.violated(&sale.ViolationError{Where: sale.DatabaseMismatch, Message: strings.Join(lines, "; ")})
	told := toldBy(t, s)
	if len(told) != 3 {
		t.Fatalf("events %q, want three", told)
	}
	for _, e := range told {
		if len(e) > 1024+len("Warning InsufficientStock ") || !strings.Contains(e, "sku-0000") {
			t.Errorf("an event of %d bytes: %q", len(e), e)
		}
	}
	for _, condition := range []string{v1alpha1.ConditionStockAllocated, v1alpha1.ConditionSettled} {
		if got := s.report.Get(condition).Message; len(got) > 2000 || !strings.Contains(got, "and 990 more") {
			t.Errorf("%s: %q", condition, got)
		}
	}
	if got := s.report.Get(v1alpha1.ConditionInvariantViolated).Message; !strings.Contains(got, "sku-0200") {
		t.Error("the condition itself does not name the items")
	}
}

func TestARefusalIsTriedLessOftenAndNeverPastAStart(t *testing.T) {
	r := &Reconciler{Log: slog.New(slog.DiscardHandler)}
	p := promotion()
	var got []time.Duration
	for _, at := range []time.Duration{
		-7 * 24 * time.Hour, -6 * 24 * time.Hour, -9 * time.Minute, -5*time.Minute - time.Second, -5 * time.Second,
		time.Second,
		time.Hour - 3*time.Second,
	} {
		s := newScope(p, saleStart.Add(at))
		s.doing = "allocate"
		found(s, 1)
		r.notAllocated(s, v1alpha1.ReasonInsufficientStock, "missing 1 of phone")
		s.summarize()
		got = append(got, s.next)
	}
	want := []time.Duration{
		2 * time.Second, 5 * time.Minute, time.Minute, time.Second, 5 * time.Second, 10 * time.Second, 3 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	r.forget(client.ObjectKeyFromObject(p))
	s := newScope(p, saleStart.Add(-24*time.Hour))
	s.doing = "allocate"
	if r.retry(s); s.next != 2*time.Second {
		t.Errorf("it is not forgotten: %s", s.next)
	}
}

func TestAnErrorIsTriedAgainBeforeTheNextThingIsDue(t *testing.T) {
	r := &Reconciler{Log: slog.New(slog.DiscardHandler)}
	failure := errors.New("timed out")
	for name, tt := range map[string]struct {
		next, want time.Duration
		wantErr    bool
	}{
		"nothing is due":  {0, 0, true},
		"due in an hour":  {time.Hour, time.Hour, true},
		"due in 8 s":      {8 * time.Second, 2 * time.Second, false},
		"due in a moment": {time.Millisecond, time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScope(promotion(), saleStart)
			s.next = tt.next
			result, err := r.outcome(s, failure, nil)
			if result.RequeueAfter != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("outcome() = %s, %v", result.RequeueAfter, err)
			}
		})
	}
}

func TestWhatAnAbandonedPromotionLeavesBehind(t *testing.T) {
	allocated := known("StockAllocated", "True", "Allocated")
	for name, tt := range map[string]struct {
		known   []metav1.Condition
		streams int32
		want    []string
		not     string
	}{
		"nothing taken": {want: []string{"no stock is known to have been taken"}, not: "streams"},
		"sold": {
			known: []metav1.Condition{allocated}, streams: 1,
			want: []string{"the unsold stock was not returned", "left in NATS: streams "},
		},
		"settled": {
			known: []metav1.Condition{allocated, known("Settled", "True", "Settled")}, streams: 2,
			want: []string{"the unsold stock had been returned", "left in NATS: streams "}, not: "was not returned",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := promotion(tt.known...)
			p.Status.Streams = tt.streams
			got := newScope(p, saleStart).leftBehind()
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q lacks %q", got, want)
				}
			}
			if tt.not != "" && strings.Contains(got, tt.not) {
				t.Errorf("%q has %q", got, tt.not)
			}
			for _, stream := range sale.StreamNames("uid", tt.streams) {
				if !strings.Contains(got, stream) {
					t.Errorf("%q does not name %s", got, stream)
				}
			}
		})
	}
}

func TestADeletedPromotionSaysWhatItWaitsFor(t *testing.T) {
	p := promotion(known("Settled", "True", "Settled"))
	p.DeletionTimestamp = &metav1.Time{Time: saleStart.Add(time.Hour)}
	p.Status.SettledTime = metav1.NewTime(saleStart.Add(2 * time.Hour))
	p.Status.ClosedTime = p.Status.SettledTime
	p.Spec.Settlement.KeepLog = &metav1.Duration{Duration: 24 * time.Hour}
	r := &Reconciler{Log: slog.New(slog.DiscardHandler)}
	s := newScope(p, saleStart.Add(3*time.Hour))
	if stop, err := r.retain(context.Background(), s); !stop || err != nil || s.finished {
		t.Fatalf("retain() = %t, %v; finished %t", stop, err, s.finished)
	}
	s.summarize()
	c := s.report.Get(v1alpha1.ConditionReady)
	const until = "2026-11-12T14:00:00Z (spec.settlement.keepLog)"
	if c.Reason != v1alpha1.ReasonDeleting || !strings.Contains(c.Message, until) {
		t.Errorf("Ready is %s: %s", c.Reason, c.Message)
	}
	if s.next > deletedInterval {
		t.Errorf("its namespace is looked at in %s", s.next)
	}
}
