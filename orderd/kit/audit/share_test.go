package audit_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/orderd/kit/audit"
)

// Calls that are made at once wait for few transactions, not for two of each: the table is locked until they all
// wait for it.
func TestCallsAtOnceShareTransactions(t *testing.T) {
	const calls = 100
	d := newDesk(t)
	d.caller = acting("backend", checkout)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE audit_entries IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var arrived, done sync.WaitGroup
	d.arrived = arrived.Done
	arrived.Add(calls)
	before := d.pool.Stat().AcquireCount()
	for n := range calls {
		done.Go(func() {
			request := adjust()
			request.RequestId = fmt.Sprint(n)
			if _, err := d.client.AdjustStock(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
	}
	arrived.Wait()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	if n := d.pool.Stat().AcquireCount() - before; n >= calls {
		t.Errorf("%d transactions for the entries of %d calls, want fewer than calls", n, calls)
	}
	answer, err := d.entries.ListAuditEntries(t.Context(), &auditv1.ListAuditEntriesRequest{PageSize: calls})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range answer.GetEntries() {
		ids[e.GetRequestId()] = e.GetOutcome() == audit.OK && strings.Contains(e.GetRequest(), `"`+e.GetRequestId()+`"`)
	}
	for n := range calls {
		if !ids[fmt.Sprint(n)] {
			t.Errorf("call %d has no entry of its own that is OK", n)
		}
	}
}
