package bulk_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/bulk"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

const (
	buyer       = "ann"
	connections = 16

	ship     = bulkv1.JobKind_JOB_KIND_SHIP
	closing  = bulkv1.JobKind_JOB_KIND_CLOSE
	tagging  = bulkv1.JobKind_JOB_KIND_TAG
	noting   = bulkv1.JobKind_JOB_KIND_NOTE
	stocking = bulkv1.JobKind_JOB_KIND_STOCK
)

// world is a shop's database with bulk jobs on it.
type world struct {
	url     string
	pool    *pgxpool.Pool
	shop    *testorder.Shop
	service *bulk.Service
}

func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	w := &world{url: testdb.NewMigrated(GinkgoTB())}
	var err error
	w.pool, err = database.Open(ctx, w.url, connections)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.pool.Close)
	w.shop, err = testorder.New(ctx, w.pool)
	Expect(err).NotTo(HaveOccurred())
	w.service = bulk.NewService(bulk.Options{Pool: w.pool, Clock: w.shop.Clock.Now, Random: rand.Reader})
	return w
}

// newWorker is one that is quick, on a database.
func newWorker(
	pool *pgxpool.Pool, shop *testorder.Shop, name string, registerer prometheus.Registerer,
) (*bulk.Worker, error) {
	log := slog.New(slog.NewTextHandler(GinkgoWriter, nil))
	parcels, err := shipment.NewStore(shipment.Options{
		Pool: pool, Orders: shop.Orders, Clock: shop.Clock.Now, Random: rand.Reader, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return bulk.NewWorker(bulk.WorkerOptions{
		Pool: pool, Orders: shop.Orders, Shipments: parcels, Clock: shop.Clock.Now, RowTimeout: time.Second,
		WorkerOptions: lease.WorkerOptions{
			Worker: name, Interval: 10 * time.Millisecond, TTL: 3 * time.Second, Logger: log, Registerer: registerer,
		},
	})
}

// work starts a worker, until the spec ends or stop is called.
func (w *world) work(name string, registerer prometheus.Registerer) (stop func()) {
	GinkgoHelper()
	worker, err := newWorker(w.pool, w.shop, name, registerer)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = worker.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	DeferCleanup(stop)
	return stop
}

// as is a context of a call by somebody with roles.
func as(ctx context.Context, subject string, roles ...accessv1.Role) context.Context {
	set := auth.RolesOf(roles...)
	return auth.WithCaller(ctx, auth.Caller{Subject: subject, Roles: set, Acting: set})
}

// staff is somebody who may do everything.
func staff(ctx context.Context) context.Context {
	return as(ctx, "sam", accessv1.Role_ROLE_SUPPORT, accessv1.Role_ROLE_FULFILMENT, accessv1.Role_ROLE_CATALOG)
}

// create begins a job.
func (w *world) create(ctx context.Context, kind bulkv1.JobKind, dry bool, lines ...string) *bulkv1.Job {
	GinkgoHelper()
	answer, err := w.service.CreateJob(staff(ctx), &bulkv1.CreateJobRequest{
		RequestId: uuid.NewString(), Kind: kind, DryRun: dry, Csv: []byte(strings.Join(lines, "\n")),
	})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetJob()
}

func (w *world) job(ctx context.Context, id string) *bulkv1.Job {
	GinkgoHelper()
	answer, err := w.service.GetJob(staff(ctx), &bulkv1.GetJobRequest{JobId: id})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetJob()
}

// ended waits for a job's end.
func (w *world) ended(ctx context.Context, id string) *bulkv1.Job {
	GinkgoHelper()
	Eventually(func() bulkv1.JobState { return w.job(ctx, id).GetState() }).
		ShouldNot(Equal(bulkv1.JobState_JOB_STATE_RUNNING))
	return w.job(ctx, id)
}

// answers are those of a job's rows: their state, code, reason and field.
func (w *world) answers(ctx context.Context, id string) []string {
	GinkgoHelper()
	var out []string
	for _, r := range w.rows(ctx, id) {
		text := strings.TrimPrefix(r.GetState().String(), "ROW_STATE_")
		for _, more := range []string{r.GetCode(), r.GetReason(), r.GetField()} {
			if more != "" {
				text += " " + more
			}
		}
		out = append(out, text)
	}
	return out
}

func (w *world) rows(ctx context.Context, id string) []*bulkv1.JobRow {
	GinkgoHelper()
	var all []*bulkv1.JobRow
	for token := ""; ; {
		answer, err := w.service.ListJobRows(staff(ctx), &bulkv1.ListJobRowsRequest{JobId: id, PageToken: token})
		Expect(err).NotTo(HaveOccurred())
		all = append(all, answer.GetRows()...)
		if token = answer.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// file is a job's, from all its pieces.
func (w *world) file(ctx context.Context, id string, state bulkv1.RowState) string {
	GinkgoHelper()
	var all []byte
	for token := ""; ; {
		answer, err := w.service.ExportJob(staff(ctx), &bulkv1.ExportJobRequest{JobId: id, State: state, PageToken: token})
		Expect(err).NotTo(HaveOccurred())
		all = append(all, answer.GetCsv()...)
		if token = answer.GetNextPageToken(); token == "" {
			return string(all)
		}
	}
}

func (w *world) exec(ctx context.Context, sql string, args ...any) {
	GinkgoHelper()
	_, err := w.pool.Exec(ctx, sql, args...)
	Expect(err).NotTo(HaveOccurred(), sql)
}

// texts are the rows of a query with one text each.
func (w *world) texts(ctx context.Context, sql string, args ...any) []string {
	GinkgoHelper()
	rows, err := w.pool.Query(ctx, sql, args...)
	Expect(err).NotTo(HaveOccurred(), sql)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	Expect(err).NotTo(HaveOccurred(), sql)
	return out
}

// paid is a paid order's id, known to the desk.
func (w *world) paid(ctx context.Context) string {
	GinkgoHelper()
	id, err := w.shop.Paid(ctx, buyer, true, testorder.Line{Quantity: 2, UnitPrice: 100})
	Expect(err).NotTo(HaveOccurred())
	Expect(database.ExecuteTx(ctx, w.pool, func(tx *database.Tx) error {
		return desk.Refresh(ctx, tx, []uuid.UUID{id})
	})).To(Succeed())
	return id.String()
}

// unpaid is an unpaid order's id.
func (w *world) unpaid(ctx context.Context) string {
	GinkgoHelper()
	id := w.paid(ctx)
	w.exec(ctx, "UPDATE orders SET state = 'PENDING_PAYMENT', paid_at = NULL, payment_id = NULL WHERE order_id = $1", id)
	return id
}

// shipped is the id of an order that has left, whole or in part.
func (w *world) shipped(ctx context.Context, units int64) string {
	GinkgoHelper()
	id := w.paid(ctx)
	lines := []order.LineQuantity{{Line: 1, Quantity: units}}
	Expect(database.ExecuteTx(ctx, w.pool, func(tx *database.Tx) error {
		now, order := w.shop.Clock.Now(), uuid.MustParse(id)
		if _, err := w.shop.Orders.ReserveShipment(ctx, tx, now, order, lines); err != nil {
			return err
		}
		return w.shop.Orders.RecordShipped(ctx, tx, now, order, uuid.New(), lines, "test")
	})).To(Succeed())
	return id
}

func (w *world) number(ctx context.Context, id string) string {
	GinkgoHelper()
	return w.texts(ctx, "SELECT number FROM desk_orders WHERE order_id = $1", id)[0]
}

func (w *world) state(ctx context.Context, id string) string {
	GinkgoHelper()
	return w.texts(ctx, "SELECT state FROM orders WHERE order_id = $1", id)[0]
}

// history is what happened to an order by the members of staff: its event, actor and reason.
func (w *world) history(ctx context.Context, id string) []string {
	GinkgoHelper()
	return w.texts(ctx, `SELECT event || '|' || actor || '|' || reason FROM order_history
		WHERE order_id = $1 AND actor LIKE 'staff %' ORDER BY version`, id)
}

// sku makes one with so many units.
func (w *world) sku(ctx context.Context, name string, units int64) {
	GinkgoHelper()
	Expect(database.ExecuteTx(ctx, w.pool, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at)
			VALUES ($1, $1, 100, 'CNY', true, now())`, name); err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, name); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: name, Quantity: units})})
	})).To(Succeed())
}

func (w *world) available(ctx context.Context, sku string) int64 {
	GinkgoHelper()
	levels, err := stock.Get(ctx, w.pool, sku)
	Expect(err).NotTo(HaveOccurred())
	return levels.Available
}

func reason(job *bulkv1.Job, row int) string {
	return fmt.Sprintf("bulk job %s, row %d", job.GetJobId(), row)
}
