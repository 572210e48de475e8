package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/validate"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/audit"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// desk is a catalog behind the audit, and the audit's own service.
type desk struct {
	catalogv1connect.UnimplementedCatalogServiceHandler

	pool    *pgxpool.Pool
	client  catalogv1connect.CatalogServiceClient
	entries *audit.Service
	// caller of the next call.
	caller auth.Caller
	// adjust is what AdjustStock does.
	adjust func(context.Context) error
	calls  int
	mu     sync.Mutex
	now    time.Time
	// arrived is told of each call before its entry is written, unless nil.
	arrived func()
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{pool: testdb.NewPool(t), now: time.UnixMilli(1_800_000_000_000).UTC()}
	recorder, err := audit.NewRecorder(audit.Options{
		Pool: d.pool, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler),
		Clock: func() time.Time {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.now = d.now.Add(time.Second)
			return d.now
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.entries = audit.NewService(audit.ServiceOptions{Pool: d.pool, Recorder: recorder})
	calling := func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if d.arrived != nil {
				d.arrived()
			}
			return next(auth.WithCaller(ctx, d.caller), spec, stream)
		}
	}
	server := connect.NewServer(calling, validate.NewServerInterceptor(), recorder.Interceptor())
	catalogv1connect.RegisterCatalogServiceHandler(server, d)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	d.client = catalogv1connect.NewCatalogServiceClient(connect.NewClient(connecthttp.NewTransport(s.Client(), s.URL)))
	return d
}

func (d *desk) AdjustStock(
	ctx context.Context, _ *catalogv1.AdjustStockRequest,
) (*catalogv1.AdjustStockResponse, error) {
	d.mu.Lock()
	d.calls++
	d.mu.Unlock()
	if d.adjust != nil {
		return &catalogv1.AdjustStockResponse{}, d.adjust(ctx)
	}
	return &catalogv1.AdjustStockResponse{}, nil
}

func (d *desk) GetSku(context.Context, *catalogv1.GetSkuRequest) (*catalogv1.GetSkuResponse, error) {
	return &catalogv1.GetSkuResponse{}, nil
}

func (d *desk) list(t *testing.T) []*auditv1.AuditEntry {
	t.Helper()
	answer, err := d.entries.ListAuditEntries(t.Context(), &auditv1.ListAuditEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetEntries()
}

func acting(subject string, roles ...accessv1.Role) auth.Caller {
	return auth.Caller{Subject: subject, Roles: auth.RolesOf(roles...), Acting: auth.RolesOf(roles...)}
}

func adjust() *catalogv1.AdjustStockRequest {
	return &catalogv1.AdjustStockRequest{RequestId: "morning", Sku: "tea", Delta: -2}
}

const (
	catalog   = accessv1.Role_ROLE_CATALOG
	marketing = accessv1.Role_ROLE_MARKETING
	checkout  = accessv1.Role_ROLE_CHECKOUT
	pim       = accessv1.Role_ROLE_CATALOG_SYNC
	buyer     = accessv1.Role_ROLE_BUYER
)

// facts are what an entry says of a call, but for when.
type facts struct {
	Subject, Procedure, RequestID, Request, Outcome, Reason string
	Roles                                                   []string
	Completed                                               bool
}

// adjustment is what the entry of carol's adjust says.
func adjustment(outcome, reason string) *facts {
	return &facts{
		Subject:   "carol",
		Roles:     []string{"catalog"},
		Procedure: "/orderd.catalog.v1.CatalogService/AdjustStock",
		RequestID: "morning",
		Request:   `{"requestId":"morning","sku":"tea","delta":"-2"}`,
		Outcome:   outcome,
		Reason:    reason,
		Completed: true,
	}
}

// auditCase is a call, and the entry that it leaves, if any.
type auditCase struct {
	name   string
	caller auth.Caller
	adjust func(context.Context) error
	call   func(context.Context, catalogv1connect.CatalogServiceClient) error
	want   *facts
}

func question(ctx context.Context, c catalogv1connect.CatalogServiceClient) error {
	_, err := c.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "tea"})
	return err
}

// asked is what the entry of a question says.
func asked(subject, role string) *facts {
	return &facts{
		Subject: subject, Roles: []string{role}, Procedure: "/orderd.catalog.v1.CatalogService/GetSku",
		Request: `{"sku":"tea"}`, Outcome: audit.OK, Completed: true,
	}
}

// personal is a caller of an RPC that answers personal data.
func personal(c auth.Caller) auth.Caller {
	c.Personal = true
	return c
}

func auditCases() []auditCase {
	by := func(subject string, roles ...string) *facts {
		f := adjustment(audit.OK, "")
		f.Subject, f.Roles = subject, roles
		return f
	}
	return []auditCase{
		{name: "staff", caller: acting("carol", catalog), want: adjustment(audit.OK, "")},
		{
			name: "staff with more roles", caller: acting("carol", marketing, catalog),
			want: by("carol", "catalog", "marketing"),
		},
		{name: "a service", caller: acting("pim", pim), want: by("pim", "catalog-sync")},
		{name: "a service for a buyer", caller: acting("backend", checkout), want: by("backend", "checkout")},
		{
			name: "a service that is a buyer too", caller: acting("backend", buyer, checkout),
			want: by("backend", "buyer", "checkout"),
		},
		{name: "a buyer", caller: acting("ann", buyer)},
		{
			name:   "staff whose role is not what lets them in",
			caller: auth.Caller{Subject: "carol", Roles: auth.RolesOf(catalog, buyer), Acting: auth.RolesOf(buyer)},
		},
		{
			name: "a refusal", caller: acting("carol", catalog),
			adjust: func(context.Context) error { return rpcerr.New(connect.CodeNotFound, "SKU_NOT_FOUND", "no such SKU") },
			want:   adjustment("NOT_FOUND", "SKU_NOT_FOUND"),
		},
		{
			name:   "a driver's error",
			caller: acting("carol", catalog),
			adjust: func(context.Context) error { return errors.New("secret") },
			want:   adjustment("INTERNAL", "INTERNAL"),
		},
		{
			name: "another pod's verdict", caller: acting("carol", catalog),
			adjust: func(context.Context) error { return connect.NewError(connect.CodeNotFound, "from afar").WithRemote() },
			want:   adjustment("INTERNAL", "INTERNAL"),
		},
		{
			name:   "too late",
			caller: acting("carol", catalog),
			adjust: func(context.Context) error { return context.DeadlineExceeded },
			want:   adjustment("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
		},
		{
			name: "a question", caller: acting("carol", catalog),
			call: question,
		},
		{
			name: "a question of staff about personal data", caller: personal(acting("carol", catalog)),
			call: question,
			want: asked("carol", "catalog"),
		},
		{name: "the same of a service", caller: personal(acting("backend", checkout)), call: question},
		{name: "the same of a buyer", caller: personal(acting("ann", buyer)), call: question},
		{
			name: "what the proto does not allow", caller: acting("carol", catalog),
			call: func(ctx context.Context, c catalogv1connect.CatalogServiceClient) error {
				_, err := c.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "morning", Sku: "tea"})
				return err
			},
		},
	}
}

// only is the facts of the only entry, nil if there is none.
func (d *desk) only(t *testing.T) *facts {
	t.Helper()
	var got *facts
	for _, e := range d.list(t) {
		if got != nil {
			t.Errorf("a second entry: %v", e)
		}
		got = &facts{
			Subject:   e.GetSubject(),
			Roles:     e.GetRoles(),
			Procedure: e.GetProcedure(),
			RequestID: e.GetRequestId(),
			Request:   e.GetRequest(),
			Outcome:   e.GetOutcome(),
			Reason:    e.GetReason(),
			Completed: e.GetCompletedAt().AsTime().After(e.GetAt().AsTime()),
		}
	}
	return got
}

func TestWhatLeavesAnEntry(t *testing.T) {
	for _, tt := range auditCases() {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.caller, d.adjust = tt.caller, tt.adjust
			if tt.call == nil {
				_, _ = d.client.AdjustStock(t.Context(), adjust())
			} else {
				_ = tt.call(t.Context(), d.client)
			}
			if diff := cmp.Diff(tt.want, d.only(t)); diff != "" {
				t.Errorf("entry (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntryIsThereBeforeTheEffect(t *testing.T) {
	d := newDesk(t)
	d.caller = acting("carol", catalog)
	var during []*auditv1.AuditEntry
	d.adjust = func(context.Context) error { during = d.list(t); return nil }
	if _, err := d.client.AdjustStock(t.Context(), adjust()); err != nil {
		t.Fatal(err)
	}
	if len(during) != 1 || during[0].GetOutcome() != audit.Attempted || during[0].GetCompletedAt() != nil {
		t.Errorf("while the handler ran: %v, want one entry that is ATTEMPTED", during)
	}
	for range 2 {
		if _, err := d.client.AdjustStock(t.Context(), adjust()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.list(t)); n != 3 {
		t.Errorf("%d entries of three calls with one request id, want 3", n)
	}
}

func TestNothingIsDoneWithoutAnEntry(t *testing.T) {
	d := newDesk(t)
	if _, err := d.pool.Exec(t.Context(), "ALTER TABLE audit_entries RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	for _, caller := range []auth.Caller{
		acting("carol", catalog), acting("pim", pim), acting("backend", buyer, checkout),
	} {
		d.caller = caller
		_, err := d.client.AdjustStock(t.Context(), adjust())
		if connect.CodeOf(err) != connect.CodeInternal || d.calls != 0 {
			t.Errorf("%s without the table: %v after %d calls of the handler, want INTERNAL and none", caller.Subject, err,
				d.calls)
		}
	}
	d.caller = acting("ann", buyer)
	if _, err := d.client.AdjustStock(t.Context(), adjust()); err != nil || d.calls != 1 {
		t.Errorf("a buyer, who leaves no entry: %v after %d calls of the handler, want none after 1", err, d.calls)
	}
}

func TestEntryStaysAttemptedIfItsEndIsLost(t *testing.T) {
	d := newDesk(t)
	d.caller = acting("carol", catalog)
	d.adjust = func(ctx context.Context) error {
		_, err := d.pool.Exec(ctx, "ALTER TABLE audit_entries RENAME TO away")
		return err
	}
	if _, err := d.client.AdjustStock(t.Context(), adjust()); err != nil {
		t.Errorf("the effect is made, and the caller is told otherwise: %v", err)
	}
	if _, err := d.pool.Exec(t.Context(), "ALTER TABLE away RENAME TO audit_entries"); err != nil {
		t.Fatal(err)
	}
	if got := d.list(t); len(got) != 1 || got[0].GetOutcome() != audit.Attempted {
		t.Errorf("entries %v, want one that is ATTEMPTED", got)
	}
}

func TestEndIsWrittenThoughTheCallerHasGone(t *testing.T) {
	d := newDesk(t)
	d.caller = acting("carol", catalog)
	ctx, leave := context.WithCancel(t.Context())
	d.adjust = func(ctx context.Context) error {
		leave()
		<-ctx.Done()
		return ctx.Err()
	}
	if _, err := d.client.AdjustStock(ctx, adjust()); err == nil {
		t.Error("a call that was given up has an answer")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := time.After(10 * time.Second)
	for got := d.list(t); got[0].GetOutcome() != "CANCELED"; got = d.list(t) {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatalf("entry %v, want one that was CANCELED", got)
		}
	}
}

// The end of an entry is not what its caller waits for.
func TestNobodyWaitsForTheEnd(t *testing.T) {
	d := newDesk(t)
	d.caller = acting("carol", catalog)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.adjust = func(ctx context.Context) error {
		_, err := tx.Exec(ctx, "LOCK TABLE audit_entries IN EXCLUSIVE MODE")
		return err
	}
	if _, err := d.client.AdjustStock(t.Context(), adjust()); err != nil {
		t.Fatal(err)
	}
	var outcome string
	err = d.pool.QueryRow(t.Context(), "SELECT outcome FROM audit_entries").Scan(&outcome)
	if err != nil || outcome != audit.Attempted {
		t.Errorf("%s, %v, want what was written first", outcome, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := d.only(t); got == nil || got.Outcome != audit.OK {
		t.Errorf("%+v, want the end of it", got)
	}
}
