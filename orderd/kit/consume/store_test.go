package consume

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// inboxState is what the inbox says of an event, and how often.
type inboxState struct {
	Outcome  string
	Attempts int64
}

// inbox is the consumer reward's, with one event in it that may be anywhere in its life.
type inbox struct {
	pool *pgxpool.Pool
	key  key
	at   time.Time
}

// begin puts the event into a state; none has no row.
func (in inbox) begin(t *testing.T, before inboxState) {
	t.Helper()
	if _, err := in.pool.Exec(t.Context(), "DELETE FROM consumed_events"); err != nil {
		t.Fatal(err)
	}
	if before == (inboxState{}) {
		return
	}
	_, err := in.pool.Exec(t.Context(),
		`INSERT INTO consumed_events (bucket, consumer, event_id, outcome, attempts, error, changed_at)
		VALUES ($1, 'reward', $2, $3, $4, 'before', $5), ($1, 'other', $2, 'DONE', 0, '', $5)`, in.key.bucket, in.key.id,
		before.Outcome, before.Attempts, in.at)
	if err != nil {
		t.Fatal(err)
	}
}

func (in inbox) state(t *testing.T) inboxState {
	t.Helper()
	found, err := find(t.Context(), in.pool, "reward", []key{in.key})
	if err != nil {
		t.Fatal(err)
	}
	return inboxState{found[in.key].outcome, found[in.key].attempts}
}

func claiming(replay bool) func(context.Context, inbox) (bool, error) {
	return func(ctx context.Context, in inbox) (effect bool, err error) {
		err = database.ExecuteTx(ctx, in.pool, func(tx *database.Tx) error {
			claimed, err := claim(ctx, tx, "reward", in.at, []key{in.key}, replay)
			effect = claimed[in.key]
			return err
		})
		return effect, err
	}
}

func failing(f failure) func(context.Context, inbox) (bool, error) {
	const maxAttempts = 3
	return func(ctx context.Context, in inbox) (bool, error) {
		f.key, f.at, f.reason = in.key, in.at, "no"
		_, known, err := fail(ctx, in.pool, "reward", f, maxAttempts)
		return known, err
	}
}

// allowed is what comes of a step in one state.
type allowed struct {
	after inboxState
	// taken: the effect may happen, or the failure was counted.
	taken bool
}

// inboxStates are those in which a step is tried.
var inboxStates = [5]inboxState{{}, {"FAILED", 1}, {"FAILED", 2}, {"DONE", 0}, {"DEAD", 3}}

// inboxStep is what may happen to an event.
type inboxStep struct {
	name string
	do   func(context.Context, inbox) (bool, error)
	// want by the state before, as in inboxStates.
	want [5]allowed
}

func inboxSteps() []inboxStep {
	failed, last, done, dead := inboxStates[1], inboxStates[2], inboxStates[3], inboxStates[4]
	return []inboxStep{
		{
			"an effect",
			claiming(false),
			[5]allowed{{done, true}, {inboxState{"DONE", 1}, true}, {inboxState{"DONE", 2}, true}, {done, false}, {dead, false}},
		},
		{
			"a replay's effect",
			claiming(true),
			[5]allowed{
				{done, true},
				{inboxState{"DONE", 1}, true},
				{inboxState{"DONE", 2}, true},
				{done, false},
				{inboxState{"DONE", 3}, true},
			},
		},
		{
			"a failure",
			failing(failure{}),
			[5]allowed{{failed, true}, {last, true}, {dead, true}, {done, false}, {dead, false}},
		},
		{
			"a permanent failure",
			failing(failure{dead: true}),
			[5]allowed{{inboxState{"DEAD", 1}, true}, {inboxState{"DEAD", 2}, true}, {dead, true}, {done, false}, {dead, false}},
		},
		{
			"a replay's failure",
			failing(failure{replay: true}),
			[5]allowed{{failed, true}, {last, true}, {dead, true}, {done, false}, {failed, true}},
		},
		{
			"a replay's permanent failure",
			failing(failure{replay: true, dead: true}),
			[5]allowed{
				{inboxState{"DEAD", 1}, true},
				{inboxState{"DEAD", 2}, true},
				{dead, true},
				{done, false},
				{inboxState{"DEAD", 1}, true},
			},
		},
	}
}

// TestWhatTheInboxAllows walks every pair of a state and what may happen in it.
func TestWhatTheInboxAllows(t *testing.T) {
	in := inbox{
		pool: testdb.NewPool(t),
		key:  key{bucket: 3, id: "o.2"},
		at:   time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC),
	}
	for _, tt := range inboxSteps() {
		for i, before := range inboxStates {
			in.begin(t, before)
			taken, err := tt.do(t.Context(), in)
			if err != nil {
				t.Fatalf("%s after %v: %v", tt.name, before, err)
			}
			got := allowed{after: in.state(t), taken: taken}
			if diff := cmp.Diff(tt.want[i], got, cmp.AllowUnexported(allowed{})); diff != "" {
				t.Errorf("%s after %v (-want +got):\n%s", tt.name, before, diff)
			}
		}
	}
}
