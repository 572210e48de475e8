package bulk_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// files are one that can be read for each kind.
func files() map[bulkv1.JobKind]string {
	return map[bulkv1.JobKind]string{
		ship: "order,tracking_number\n1,2\n", closing: "order\n1\n", tagging: "order,add\n1,a\n", noting: "order,text\n1,a\n",
		stocking: "sku,delta\n1,1\n",
	}
}

// refused checks an error's code, reason and metadata.
func refused(err error, code connect.Code, reason string, metadata map[string]string) {
	GinkgoHelper()
	Expect(err).To(HaveOccurred())
	Expect(connect.CodeOf(err)).To(Equal(code), "%v", err)
	Expect(rpcerr.Reason(err)).To(Equal(reason), "%v", err)
	Expect(rpcerr.Metadata(err)).To(Equal(metadata), "%v", err)
}

var _ = Describe("Who may do what", func() {
	It("goes by the kind, also for what is seen", func(ctx SpecContext) {
		w := newWorld(ctx)
		all := []accessv1.Role{
			accessv1.Role_ROLE_SUPPORT, accessv1.Role_ROLE_FULFILMENT, accessv1.Role_ROLE_RETURNS, accessv1.Role_ROLE_FINANCE,
			accessv1.Role_ROLE_CATALOG, accessv1.Role_ROLE_MARKETING, accessv1.Role_ROLE_CATALOG_SYNC,
			accessv1.Role_ROLE_FULFILMENT_SYNC, accessv1.Role_ROLE_OPERATIONS,
		}
		desk := []accessv1.Role{
			accessv1.Role_ROLE_SUPPORT, accessv1.Role_ROLE_FULFILMENT, accessv1.Role_ROLE_RETURNS, accessv1.Role_ROLE_FINANCE,
			accessv1.Role_ROLE_MARKETING,
		}
		may := map[bulkv1.JobKind][]accessv1.Role{
			ship:    {accessv1.Role_ROLE_FULFILMENT, accessv1.Role_ROLE_FULFILMENT_SYNC},
			closing: {accessv1.Role_ROLE_SUPPORT}, tagging: desk, noting: desk,
			stocking: {accessv1.Role_ROLE_CATALOG, accessv1.Role_ROLE_CATALOG_SYNC},
		}
		for kind, csv := range files() {
			for _, role := range all {
				who := as(ctx, "kim", role)
				answer, err := w.service.CreateJob(who, &bulkv1.CreateJobRequest{
					RequestId: uuid.NewString(), Kind: kind, Csv: []byte(csv),
				})
				if !slices.Contains(may[kind], role) {
					refused(err, connect.CodePermissionDenied, "KIND_NOT_ALLOWED",
						map[string]string{"field": "kind", "kind": strings.TrimPrefix(kind.String(), "JOB_KIND_")})
					continue
				}
				Expect(err).NotTo(HaveOccurred())
				id := answer.GetJob().GetJobId()
				for _, other := range all {
					who := as(ctx, "kim", other)
					sees := slices.Contains(may[kind], other)
					errs := make([]error, 4)
					_, errs[0] = w.service.GetJob(who, &bulkv1.GetJobRequest{JobId: id})
					_, errs[1] = w.service.ListJobRows(who, &bulkv1.ListJobRowsRequest{JobId: id})
					_, errs[2] = w.service.ExportJob(who, &bulkv1.ExportJobRequest{JobId: id})
					if !sees {
						_, errs[3] = w.service.CancelJob(who, &bulkv1.CancelJobRequest{RequestId: uuid.NewString(), JobId: id})
					}
					for i, err := range errs {
						if sees {
							Expect(err).NotTo(HaveOccurred())
						} else {
							refused(err, connect.CodeNotFound, "JOB_NOT_FOUND", nil)
							Expect(i).To(BeNumerically("<", 4))
						}
					}
					listed, err := w.service.ListJobs(who, &bulkv1.ListJobsRequest{PageSize: 100})
					Expect(err).NotTo(HaveOccurred())
					is := func(j *bulkv1.Job) bool { return j.GetJobId() == id }
					Expect(slices.ContainsFunc(listed.GetJobs(), is)).To(Equal(sees))
				}
			}
		}
	})
})

var _ = Describe("A colleague's file", func() {
	It("shows what the kind needs to those who do not see buyers, and all to others", func(ctx SpecContext) {
		w := newWorld(ctx)
		created, err := w.service.CreateJob(as(ctx, "kim", accessv1.Role_ROLE_FINANCE), &bulkv1.CreateJobRequest{
			RequestId: uuid.NewString(), Kind: noting, Csv: []byte("recipient,order,text\nAnn Li," + nobodys + ",hm\n"),
		})
		Expect(err).NotTo(HaveOccurred())
		for subject, want := range map[context.Context][]string{
			as(ctx, "kim", accessv1.Role_ROLE_FINANCE):   {"Ann Li", nobodys, "hm"},
			as(ctx, "lou", accessv1.Role_ROLE_FINANCE):   {"", nobodys, "hm"},
			as(ctx, "lou", accessv1.Role_ROLE_MARKETING): {"", nobodys, "hm"},
			as(ctx, "sam", accessv1.Role_ROLE_SUPPORT):   {"Ann Li", nobodys, "hm"},
		} {
			rows, err := w.service.ListJobRows(subject, &bulkv1.ListJobRowsRequest{JobId: created.GetJob().GetJobId()})
			Expect(err).NotTo(HaveOccurred())
			Expect(rows.GetRows()[0].GetCells()).To(Equal(want))
			file, err := w.service.ExportJob(subject, &bulkv1.ExportJobRequest{JobId: created.GetJob().GetJobId()})
			Expect(err).NotTo(HaveOccurred())
			Expect(strings.Contains(string(file.GetCsv()), "Ann Li")).To(Equal(want[0] != ""))
		}
	})
})

var _ = Describe("Creating jobs", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) { w = newWorld(ctx) })

	It("does it once a request id, and keeps nothing of a file that cannot be read", func(ctx SpecContext) {
		req := &bulkv1.CreateJobRequest{RequestId: "one", Kind: closing, Csv: []byte("order,x\n1,2\n\n3,4\n")}
		first, err := w.service.CreateJob(staff(ctx), req)
		Expect(err).NotTo(HaveOccurred())
		again, err := w.service.CreateJob(staff(ctx), req)
		Expect(err).NotTo(HaveOccurred())
		Expect(proto.Equal(first, again)).To(BeTrue())
		Expect(first.GetJob().GetColumns()).To(Equal([]string{"order", "x"}))
		Expect(w.rows(ctx, first.GetJob().GetJobId())[1].GetLine()).To(BeEquivalentTo(4))
		other := proto.CloneOf(req)
		other.DryRun = true
		_, err = w.service.CreateJob(staff(ctx), other)
		refused(err, connect.CodeAlreadyExists, "REQUEST_ID_REUSED", nil)
		_, err = w.service.CreateJob(staff(ctx), &bulkv1.CreateJobRequest{
			RequestId: "two", Kind: closing, Csv: []byte("order\n1\n2,3\n"),
		})
		refused(err, connect.CodeInvalidArgument, "FILE_INVALID",
			map[string]string{"field": "csv", "line": "3", "problem": "FIELDS"})
		Expect(w.texts(ctx, "SELECT count(*)::text FROM bulk_jobs")).To(Equal([]string{"1"}))
		Expect(w.texts(ctx, "SELECT request_id FROM requests")).To(Equal([]string{"one"}))
	})

	It("ends where too many are running", func(ctx SpecContext) {
		for range 100 {
			w.create(ctx, closing, false, "order", "1")
		}
		_, err := w.service.CreateJob(staff(ctx), &bulkv1.CreateJobRequest{
			RequestId: "more", Kind: closing, Csv: []byte("order\n1\n"),
		})
		refused(err, connect.CodeResourceExhausted, "TOO_MANY_JOBS", map[string]string{"most": "100"})
	})

	It("lists them by page, newest first, and their rows by state", func(ctx SpecContext) {
		var ids []string
		for range 5 {
			ids = append(ids, w.create(ctx, closing, false, "order", "1").GetJobId())
		}
		slices.Reverse(ids)
		var got []string
		for token := ""; ; {
			answer, err := w.service.ListJobs(staff(ctx), &bulkv1.ListJobsRequest{PageSize: 2, PageToken: token})
			Expect(err).NotTo(HaveOccurred())
			Expect(len(answer.GetJobs())).To(BeNumerically("<=", 2))
			for _, j := range answer.GetJobs() {
				got = append(got, j.GetJobId())
			}
			if token = answer.GetNextPageToken(); token == "" {
				break
			}
		}
		// Jobs of the same millisecond are in the order of their ids.
		Expect(got).To(ConsistOf(ids))
		_, err := w.service.ListJobs(staff(ctx), &bulkv1.ListJobsRequest{PageToken: "x"})
		refused(err, connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", map[string]string{"field": "page_token"})
		id := w.paid(ctx)
		job := w.create(ctx, noting, false, "order,text", id+",a", id+",", id+",b", id+",", id+",c")
		w.work("worker", nil)
		w.ended(ctx, job.GetJobId())
		var failed []int64
		for token := ""; ; {
			answer, err := w.service.ListJobRows(staff(ctx), &bulkv1.ListJobRowsRequest{
				JobId: job.GetJobId(), State: bulkv1.RowState_ROW_STATE_FAILED, PageSize: 1, PageToken: token,
			})
			Expect(err).NotTo(HaveOccurred())
			for _, r := range answer.GetRows() {
				failed = append(failed, r.GetRow())
			}
			if token = answer.GetNextPageToken(); token == "" {
				break
			}
		}
		Expect(failed).To(Equal([]int64{2, 4}))
	})
})

var _ = Describe("Many jobs at once", func() {
	It("are done in turns, each row once, by many workers, and measured", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.sku(ctx, "tea", 0)
		big := []string{"sku,delta"}
		for range 1200 {
			big = append(big, "tea,1")
		}
		long := w.create(ctx, stocking, false, big...)
		// They are all the first one's neighbours.
		short := []*bulkv1.Job{}
		for range 5 {
			short = append(short, w.create(ctx, stocking, false, "sku,delta", "tea,1000000", "tea,-1000000"))
		}
		w.exec(ctx, "UPDATE bulk_jobs SET bucket = 3")
		registries := []*prometheus.Registry{}
		for n := range 3 {
			registries = append(registries, prometheus.NewRegistry())
			w.work(fmt.Sprint("worker-", n), registries[n])
		}
		for _, job := range short {
			w.ended(ctx, job.GetJobId())
		}
		Expect(w.job(ctx, long.GetJobId()).GetLeft()).To(BeNumerically(">", 0), "the short ones waited for the long one")
		Expect(measured(registries, "orderd_bulk_oldest_row_seconds")).To(BeNumerically(">", 0))
		w.ended(ctx, long.GetJobId())
		Expect(w.available(ctx, "tea")).To(BeEquivalentTo(1200))
		Expect(measured(registries, "orderd_bulk_rows_total")).To(BeEquivalentTo(1210))
		Eventually(func() float64 { return measured(registries, "orderd_bulk_oldest_row_seconds") }).Should(BeZero())
		Expect(w.file(ctx, long.GetJobId(), bulkv1.RowState_ROW_STATE_UNSPECIFIED)).To(Satisfy(func(csv string) bool {
			return strings.Count(csv, ",DONE,") == 1200 && strings.Count(csv, "sku") == 1
		}))
	})
})

// measured is a metric's sum over all workers.
func measured(registries []*prometheus.Registry, name string) float64 {
	GinkgoHelper()
	var sum float64
	for _, r := range registries {
		families, err := r.Gather()
		Expect(err).NotTo(HaveOccurred())
		for _, f := range families {
			if f.GetName() != name {
				continue
			}
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		problems, err := testutil.GatherAndLint(r, "orderd_bulk_rows_total", "orderd_bulk_oldest_row_seconds")
		Expect(err).NotTo(HaveOccurred())
		Expect(problems).To(BeEmpty())
	}
	return sum
}
