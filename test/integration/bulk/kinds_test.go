package bulk_test

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
)

const nobodys = "018f2c2e-7c43-8000-8000-000000000001"

var _ = Describe("What a job does with each row", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx)
		w.work("worker", nil)
	})

	It("records parcels that were handed over", func(ctx SpecContext) {
		one, two, half := w.paid(ctx), w.paid(ctx), w.shipped(ctx, 1)
		job := w.create(ctx, ship, false, "Order;Tracking Number;carrier;comment",
			strings.ToLower(w.number(ctx, one))+`;="0012";post;x`, two+";'34;post;y", half+";56;post;z",
			one+";78;post;again", nobodys+";90;post;nobody's", two+";1.2E+12;post;rounded", half+";11;;no carrier")
		Expect(job.GetCreatedBy()).To(Equal("sam"))
		after := w.ended(ctx, job.GetJobId())
		Expect([]int64{after.GetRows(), after.GetDone(), after.GetFailed(), after.GetLeft()}).To(Equal([]int64{7, 3, 4, 0}))
		Expect(after.GetEndedAt().AsTime()).NotTo(BeZero())
		Expect(w.answers(ctx, job.GetJobId())).To(Equal([]string{
			"DONE", "DONE", "DONE", "FAILED FAILED_PRECONDITION NOTHING_LEFT_TO_SHIP", "FAILED NOT_FOUND ORDER_NOT_FOUND",
			"FAILED INVALID_ARGUMENT ROW_INVALID tracking_number", "FAILED INVALID_ARGUMENT CARRIER_UNKNOWN carrier",
		}))
		Expect(w.texts(ctx, `SELECT state || ' ' || carrier || ' ' || tracking_number || ' ' || source FROM shipments
			ORDER BY tracking_number`)).To(Equal([]string{
			"IN_TRANSIT post 0012 bulk:" + job.GetJobId() + "/1", "IN_TRANSIT post 34 bulk:" + job.GetJobId() + "/2",
			"IN_TRANSIT post 56 bulk:" + job.GetJobId() + "/3",
		}))
		Expect(w.texts(ctx, `SELECT DISTINCT actor FROM shipment_history`)).To(Equal([]string{"staff sam"}))
		for _, id := range []string{one, two, half} {
			Expect(w.state(ctx, id)).To(Equal("SHIPPED"))
			Expect(w.history(ctx, id)).To(ConsistOf(HavePrefix("ship|staff sam|shipment ")))
			const left = "SELECT (quantity - shipped)::text FROM order_lines WHERE order_id = $1"
			Expect(w.texts(ctx, left, id)).To(Equal([]string{"0"}))
		}
		Expect(w.file(ctx, job.GetJobId(), bulkv1.RowState_ROW_STATE_FAILED)).To(And(
			HavePrefix("\ufeff\"Order\";\"Tracking Number\";\"carrier\";\"comment\";\"result\";\"message\"\r\n"+
				one+";78;post;again;FAILED;FAILED_PRECONDITION/NOTHING_LEFT_TO_SHIP: "),
			ContainSubstring("has rounded the number to 1.2E+12"), Not(ContainSubstring("0012"))))
		Expect(w.file(ctx, job.GetJobId(), bulkv1.RowState_ROW_STATE_UNSPECIFIED)).To(
			ContainSubstring("'=\"\"0012\"\"\";post;x;DONE;shipment "))
	})

	It("closes orders", func(ctx SpecContext) {
		unpaid, paid, gone, half := w.unpaid(ctx), w.paid(ctx), w.shipped(ctx, 2), w.shipped(ctx, 1)
		job := w.create(ctx, closing, false, "order_id", unpaid, paid, gone, half, unpaid)
		w.ended(ctx, job.GetJobId())
		Expect(w.answers(ctx, job.GetJobId())).To(Equal([]string{
			"DONE", "FAILED FAILED_PRECONDITION ORDER_STATE_CONFLICT", "DONE", "FAILED FAILED_PRECONDITION ORDER_STATE_CONFLICT",
			"DONE",
		}))
		Expect([]string{w.state(ctx, unpaid), w.state(ctx, paid), w.state(ctx, gone), w.state(ctx, half)}).To(
			Equal([]string{"CANCELLED", "PAID", "COMPLETED", "SHIPPED"}))
		Expect(w.history(ctx, unpaid)).To(Equal([]string{"cancel|staff sam|" + reason(job, 1)}))
		Expect(w.history(ctx, gone)).To(Equal([]string{"confirm|staff sam|" + reason(job, 3)}))
		Expect(w.texts(ctx, "SELECT delivered::text FROM order_lines WHERE order_id = $1", gone)).To(Equal([]string{"2"}))
		Expect(w.rows(ctx, job.GetJobId())[4].GetMessage()).To(Equal("the order is CANCELLED"))
	})

	It("tags orders and adds notes", func(ctx SpecContext) {
		id := w.paid(ctx)
		first := w.create(ctx, tagging, false, "order,add,remove", id+`,"gift, vip",`, id+",late,vip", id+",Gift,")
		w.ended(ctx, first.GetJobId())
		Expect(w.answers(ctx, first.GetJobId())).To(
			Equal([]string{"DONE", "DONE", "FAILED INVALID_ARGUMENT ROW_INVALID add"}))
		Expect(w.rows(ctx, first.GetJobId())[1].GetMessage()).To(Equal("tags: gift, late"))
		second := w.create(ctx, noting, false, "order,text", id+",'tis late", id+",'=SUM(1)")
		w.ended(ctx, second.GetJobId())
		Expect(w.texts(ctx, "SELECT author || ': ' || text FROM order_notes WHERE order_id = $1 ORDER BY version", id)).To(
			Equal([]string{"sam: 'tis late", "sam: =SUM(1)"}))
		Expect(w.history(ctx, id)).To(Equal([]string{
			"tag|staff sam|" + reason(first, 1), "tag|staff sam|" + reason(first, 2), "note|staff sam|" + reason(second, 1),
			"note|staff sam|" + reason(second, 2),
		}))
	})

	It("adjusts stock", func(ctx SpecContext) {
		w.sku(ctx, "tea", 10)
		job := w.create(ctx, stocking, false, "delta,sku", "5,tea", "-20,tea", "-15,tea", "1,coffee", "x,tea")
		w.ended(ctx, job.GetJobId())
		Expect(w.answers(ctx, job.GetJobId())).To(Equal([]string{
			"DONE", "FAILED FAILED_PRECONDITION INSUFFICIENT_STOCK", "DONE", "FAILED NOT_FOUND SKU_NOT_FOUND",
			"FAILED INVALID_ARGUMENT ROW_INVALID delta",
		}))
		Expect(w.available(ctx, "tea")).To(BeZero())
		Expect(w.texts(ctx, "SELECT ref || ' ' || available FROM stock_movements WHERE ref LIKE 'bulk:%' ORDER BY ref")).To(
			Equal([]string{"bulk:" + job.GetJobId() + "/1 5", "bulk:" + job.GetJobId() + "/3 -15"}))
	})

	It("changes nothing in a dry run, and says what would be", func(ctx SpecContext) {
		w.sku(ctx, "tea", 10)
		unpaid, paid := w.unpaid(ctx), w.paid(ctx)
		before := w.everything(ctx)
		for _, tt := range []struct {
			kind    bulkv1.JobKind
			lines   []string
			answers []string
		}{
			{
				ship, []string{"order,tracking_number,carrier", paid + ",1,post", unpaid + ",2,post", nobodys + ",3,post"},
				[]string{"DONE", "FAILED FAILED_PRECONDITION ORDER_STATE_CONFLICT", "FAILED NOT_FOUND ORDER_NOT_FOUND"},
			},
			{closing, []string{"order", unpaid, paid}, []string{"DONE", "FAILED FAILED_PRECONDITION ORDER_STATE_CONFLICT"}},
			{tagging, []string{"order,add", paid + ",gift"}, []string{"DONE"}},
			{
				noting, []string{"order,text", paid + ",hm", nobodys + ",hm"},
				[]string{"DONE", "FAILED NOT_FOUND ORDER_NOT_FOUND"},
			},
			{
				stocking, []string{"sku,delta", "tea,-10", "tea,-11", "coffee,1"},
				[]string{"DONE", "FAILED FAILED_PRECONDITION INSUFFICIENT_STOCK", "FAILED NOT_FOUND SKU_NOT_FOUND"},
			},
		} {
			job := w.create(ctx, tt.kind, true, tt.lines...)
			Expect(w.ended(ctx, job.GetJobId()).GetDryRun()).To(BeTrue())
			Expect(w.answers(ctx, job.GetJobId())).To(Equal(tt.answers))
		}
		Expect(w.everything(ctx)).To(Equal(before))
	})
})

// everything is all that jobs may change.
func (w *world) everything(ctx context.Context) []string {
	GinkgoHelper()
	var all []string
	for _, table := range []string{
		"orders", "order_lines", "order_history", "order_notes", "shipments", "shipment_history", "stock", "stock_movements",
		"outbox",
	} {
		all = append(all, w.texts(ctx, "SELECT '"+table+" ' || t::text FROM "+table+" AS t ORDER BY t::text")...)
	}
	return all
}

var _ = Describe("A job under way", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) { w = newWorld(ctx) })

	It("is not stopped by a row that waits, which is done later", func(ctx SpecContext) {
		busy, free := w.paid(ctx), w.paid(ctx)
		tx, err := w.pool.Begin(ctx)
		Expect(err).NotTo(HaveOccurred())
		_, err = tx.Exec(ctx, "SELECT 1 FROM orders WHERE order_id = $1 FOR UPDATE", busy)
		Expect(err).NotTo(HaveOccurred())
		waiting := w.create(ctx, noting, false, "order,text", busy+",hm", free+",hm")
		other := w.create(ctx, noting, false, "order,text", free+",other")
		w.work("worker", nil)
		w.ended(ctx, other.GetJobId())
		Eventually(func() []string {
			return w.texts(ctx, "SELECT attempts::text FROM bulk_jobs WHERE job_id = $1 AND attempts >= 2", waiting.GetJobId())
		}).Should(HaveLen(1))
		Expect(w.job(ctx, waiting.GetJobId()).GetLeft()).To(BeEquivalentTo(2))
		Expect(tx.Rollback(ctx)).To(Succeed())
		w.ended(ctx, waiting.GetJobId())
		Expect(w.answers(ctx, waiting.GetJobId())).To(Equal([]string{"DONE", "DONE"}))
	})

	It("gives a row up that meets a mistake of orderd's", func(ctx SpecContext) {
		id := w.paid(ctx)
		w.exec(ctx, "ALTER TABLE order_notes RENAME TO notes_elsewhere")
		job := w.create(ctx, noting, false, "order,text", id+",hm", nobodys+",hm")
		w.work("worker", nil)
		w.ended(ctx, job.GetJobId())
		Expect(w.answers(ctx, job.GetJobId())).To(
			Equal([]string{"FAILED INTERNAL INTERNAL", "FAILED NOT_FOUND ORDER_NOT_FOUND"}))
		Expect(w.rows(ctx, job.GetJobId())[0].GetMessage()).To(Equal("internal error"))
	})

	It("is cancelled between two rows", func(ctx SpecContext) {
		busy, free := w.paid(ctx), w.paid(ctx)
		tx, err := w.pool.Begin(ctx)
		Expect(err).NotTo(HaveOccurred())
		_, err = tx.Exec(ctx, "SELECT 1 FROM orders WHERE order_id = $1 FOR UPDATE", busy)
		Expect(err).NotTo(HaveOccurred())
		job := w.create(ctx, noting, false, "order,text", free+",one", busy+",two", free+",three")
		w.work("worker", nil)
		Eventually(func() int64 { return w.job(ctx, job.GetJobId()).GetDone() }).Should(BeEquivalentTo(1))
		req := &bulkv1.CancelJobRequest{RequestId: uuid.NewString(), JobId: job.GetJobId()}
		var first *bulkv1.Job
		for range 2 {
			answer, err := w.service.CancelJob(staff(ctx), req)
			Expect(err).NotTo(HaveOccurred())
			first = answer.GetJob()
			Expect(first.GetState()).To(Equal(bulkv1.JobState_JOB_STATE_CANCELLED))
		}
		Expect(tx.Rollback(ctx)).To(Succeed())
		// A job that comes later is done, so that the cancelled one would have been.
		w.ended(ctx, w.create(ctx, noting, false, "order,text", free+",four").GetJobId())
		Expect(w.answers(ctx, job.GetJobId())).To(Equal([]string{"DONE", "LEFT", "LEFT"}))
		Expect(w.texts(ctx, "SELECT text FROM order_notes ORDER BY text")).To(Equal([]string{"four", "one"}))
		again, err := w.service.CancelJob(staff(ctx), &bulkv1.CancelJobRequest{RequestId: "other", JobId: job.GetJobId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(again.GetJob().GetEndedAt().AsTime()).To(Equal(first.GetEndedAt().AsTime()))
	})

	It("is deleted 90 days after its end", func(ctx SpecContext) {
		id := w.paid(ctx)
		many := []string{"order,text"}
		for range 1500 {
			many = append(many, id+",")
		}
		old := w.create(ctx, noting, false, many...)
		stop := w.work("worker", nil)
		w.ended(ctx, old.GetJobId())
		stop()
		w.shop.Clock.Advance(89 * 24 * time.Hour)
		young := w.create(ctx, noting, false, "order,text", id+",hm")
		stop = w.work("worker", nil)
		w.ended(ctx, young.GetJobId())
		stop()
		Expect(w.job(ctx, old.GetJobId()).GetFailed()).To(BeEquivalentTo(1500))
		w.shop.Clock.Advance(2 * 24 * time.Hour)
		w.work("worker", nil)
		Eventually(func() []string { return w.texts(ctx, "SELECT job_id::text FROM bulk_jobs") }).Should(
			Equal([]string{young.GetJobId()}))
		Expect(w.texts(ctx, "SELECT DISTINCT job_id::text FROM bulk_rows")).To(Equal([]string{young.GetJobId()}))
	})
})
