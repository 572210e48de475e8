package consume

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// inboxState is what the inbox says of an event, and how often.
type inboxState struct {
	Outcome  string
	Attempts int64
}

// TestWhatTheInboxAllows walks every pair of a state and what may happen in it.
func TestWhatTheInboxAllows(t *testing.T) {
	pool := testdb.NewPool(t)
	ctx := t.Context()
	const maxAttempts = 3
	k := key{bucket: 3, id: "o.2"}
	at := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	none, failed, last := inboxState{}, inboxState{"FAILED", 1}, inboxState{"FAILED", 2}
	done, dead := inboxState{"DONE", 0}, inboxState{"DEAD", 3}

	claiming := func(replay bool) func() (bool, error) {
		return func() (effect bool, err error) {
			err = database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
				claimed, err := claim(ctx, tx, "reward", at, []key{k}, replay)
				effect = claimed[k]
				return err
			})
			return effect, err
		}
	}
	failing := func(f failure) func() (bool, error) {
		f.key, f.at, f.reason = k, at, "no"
		return func() (bool, error) {
			_, known, err := fail(ctx, pool, "reward", f, maxAttempts)
			return known, err
		}
	}
	type want struct {
		after inboxState
		// taken: the effect may happen, or the failure was counted.
		taken bool
	}
	tests := []struct {
		name string
		do   func() (bool, error)
		// want by the state before: none, failed, last, done, dead.
		want [5]want
	}{
		{
			"an effect",
			claiming(false),
			[5]want{{done, true}, {inboxState{"DONE", 1}, true}, {inboxState{"DONE", 2}, true}, {done, false}, {dead, false}},
		},
		{
			"a replay's effect",
			claiming(true),
			[5]want{
				{done, true},
				{inboxState{"DONE", 1}, true},
				{inboxState{"DONE", 2}, true},
				{done, false},
				{inboxState{"DONE", 3}, true},
			},
		},
		{"a failure", failing(failure{}), [5]want{{failed, true}, {last, true}, {dead, true}, {done, false}, {dead, false}}},
		{
			"a permanent failure",
			failing(failure{dead: true}),
			[5]want{{inboxState{"DEAD", 1}, true}, {inboxState{"DEAD", 2}, true}, {dead, true}, {done, false}, {dead, false}},
		},
		{
			"a replay's failure",
			failing(failure{replay: true}),
			[5]want{{failed, true}, {last, true}, {dead, true}, {done, false}, {failed, true}},
		},
		{
			"a replay's permanent failure",
			failing(failure{replay: true, dead: true}),
			[5]want{
				{inboxState{"DEAD", 1}, true},
				{inboxState{"DEAD", 2}, true},
				{dead, true},
				{done, false},
				{inboxState{"DEAD", 1}, true},
			},
		},
	}
	for _, tt := range tests {
		for i, before := range []inboxState{none, failed, last, done, dead} {
			if _, err := pool.Exec(ctx, "DELETE FROM consumed_events"); err != nil {
				t.Fatal(err)
			}
			if before != none {
				_, err := pool.Exec(ctx,
					`INSERT INTO consumed_events (bucket, consumer, event_id, outcome, attempts, error, changed_at)
					VALUES ($1, 'reward', $2, $3, $4, 'before', $5), ($1, 'other', $2, 'DONE', 0, '', $5)`, k.bucket, k.id,
					before.Outcome, before.Attempts, at)
				if err != nil {
					t.Fatal(err)
				}
			}
			taken, err := tt.do()
			if err != nil {
				t.Fatalf("%s after %v: %v", tt.name, before, err)
			}
			found, err := find(ctx, pool, "reward", []key{k})
			if err != nil {
				t.Fatal(err)
			}
			got := want{after: inboxState{found[k].outcome, found[k].attempts}, taken: taken}
			if diff := cmp.Diff(tt.want[i], got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s after %v (-want +got):\n%s", tt.name, before, diff)
			}
		}
	}
}
