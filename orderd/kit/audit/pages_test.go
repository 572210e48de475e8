package audit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"pgregory.net/rapid"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// TestPages: whatever the entries' times, pages of any size are all of them once, newest first.
func TestPages(t *testing.T) {
	d := newDesk(t)
	const insert = `INSERT INTO audit_entries (at, entry_id, subject, roles, procedure, request_id, request, outcome)
		VALUES ($1, gen_random_uuid(), $2, '{}'::text[], '/p', '', '{}', 'OK')`
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		if _, err := d.pool.Exec(ctx, "DELETE FROM audit_entries"); err != nil {
			t.Fatal(err)
		}
		total := rapid.IntRange(0, 25).Draw(t, "entries")
		of := map[string]int{"": total}
		for range total {
			// Few different times: many entries of the same one.
			at := d.now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "at")) * time.Microsecond)
			subject := fmt.Sprint("staff-", rapid.IntRange(0, 2).Draw(t, "subject"))
			of[subject]++
			if _, err := d.pool.Exec(ctx, insert, at, subject); err != nil {
				t.Fatal(err)
			}
		}
		req := &auditv1.ListAuditEntriesRequest{
			PageSize: int32(rapid.IntRange(0, 7).Draw(t, "page size")),
			Subject:  rapid.SampledFrom([]string{"", "staff-0", "staff-1", "nobody"}).Draw(t, "of"),
		}
		var all []*auditv1.AuditEntry
		for page := 0; ; page++ {
			answer, err := d.entries.ListAuditEntries(ctx, req)
			if err != nil || page > total {
				t.Fatalf("page %d: %v", page, err)
			}
			all = append(all, answer.GetEntries()...)
			if req.PageToken = answer.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		newestFirst := func(a, b *auditv1.AuditEntry) int {
			if c := b.GetAt().AsTime().Compare(a.GetAt().AsTime()); c != 0 {
				return c
			}
			return strings.Compare(b.GetEntryId(), a.GetEntryId())
		}
		if len(all) != of[req.GetSubject()] || !slices.IsSortedFunc(all, newestFirst) {
			t.Fatalf("%d entries of %d, newest first: %t", len(all), of[req.GetSubject()], slices.IsSortedFunc(all, newestFirst))
		}
		ids := slices.Compact(slices.Sorted(func(yield func(string) bool) {
			for _, e := range all {
				if !yield(e.GetEntryId()) {
					return
				}
			}
		}))
		if len(ids) != len(all) {
			t.Fatalf("%d entries came in %d places", len(ids), len(all))
		}
	})
}

func TestPageTokensFromElsewhere(t *testing.T) {
	d := newDesk(t)
	for _, token := range []string{
		"x", "AAAA", "////", "__________________________________", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	} {
		_, err := d.entries.ListAuditEntries(t.Context(), &auditv1.ListAuditEntriesRequest{PageToken: token})
		if connect.CodeOf(err) != connect.CodeInvalidArgument || rpcerr.Reason(err) != "INVALID_PAGE_TOKEN" {
			t.Errorf("%q: %v, want INVALID_ARGUMENT/INVALID_PAGE_TOKEN", token, err)
		}
	}
}
