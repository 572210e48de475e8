package bulk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1/bulkv1connect"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

// most is how large a file may be, in bytes.
const most = 3_000_000

// large is a file of so many bytes that changes stock by one.
func large(size int) []byte {
	var csv bytes.Buffer
	csv.WriteString("sku,delta,x\ntea,1,\n")
	for csv.Len() < size {
		n := min(size-csv.Len(), 5000)
		if rest := size - csv.Len() - n; rest > 0 && rest < 100 {
			n -= 100
		}
		csv.WriteString("none,1," + strings.Repeat("x", n-len("none,1,\n")) + "\n")
	}
	return csv.Bytes()
}

var _ = Describe("Pods", func() {
	var shop *testshop.Shop
	var standard *testshop.Pod
	BeforeEach(func() {
		shop = testshop.New(GinkgoTB(), GinkgoWriter)
		standard = shop.Start(config.RoleStandard, "standard", shop.Pod())
		shop.Ready(config.RoleWorker, "worker", shop.Pod())
	})

	as := func(subject string, roles ...string) *connect.Client {
		return connect.NewClient(connecthttp.NewTransport(http.DefaultClient, standard.URL),
			issuer.Bearer(shop.Issuer.Token(subject, roles...)))
	}

	ended := func(ctx context.Context, client bulkv1connect.BulkServiceClient, id string) *bulkv1.Job {
		GinkgoHelper()
		var job *bulkv1.Job
		Eventually(func() bulkv1.JobState {
			answer, err := client.GetJob(ctx, &bulkv1.GetJobRequest{JobId: id})
			Expect(err).NotTo(HaveOccurred())
			job = answer.GetJob()
			return job.GetState()
		}).Should(Equal(bulkv1.JobState_JOB_STATE_DONE))
		return job
	}

	It("take files that are larger than other requests, and do what they say", func(ctx SpecContext) {
		caller := as("kim", "catalog")
		client, catalog := bulkv1connect.NewBulkServiceClient(caller), catalogv1connect.NewCatalogServiceClient(caller)
		_, err := catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku: "tea", Title: "Tea", Price: &moneyv1.Money{Amount: 100, Currency: "CNY"}, OnSale: true,
		}})
		Expect(err).NotTo(HaveOccurred())

		csv := large(most)
		Expect(csv).To(HaveLen(most))
		req := &bulkv1.CreateJobRequest{RequestId: uuid.NewString(), Kind: stocking, Csv: csv}
		began, err := client.CreateJob(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		// In JSON it is a third larger.
		raw, err := json.Marshal(map[string]any{"requestId": req.GetRequestId(), "kind": "JOB_KIND_STOCK", "csv": csv})
		Expect(err).NotTo(HaveOccurred())
		post, err := http.NewRequestWithContext(ctx, http.MethodPost,
			standard.URL+bulkv1connect.BulkServiceCreateJobProcedure, bytes.NewReader(raw))
		Expect(err).NotTo(HaveOccurred())
		post.Header.Set("Content-Type", "application/json")
		post.Header.Set("Authorization", "Bearer "+shop.Issuer.Token("kim", "catalog"))
		again, err := http.DefaultClient.Do(post)
		Expect(err).NotTo(HaveOccurred())
		defer again.Body.Close()
		Expect(again.StatusCode).To(Equal(http.StatusOK))

		job := ended(ctx, client, began.GetJob().GetJobId())
		Expect(job.GetDone()).To(BeEquivalentTo(1))
		sku, err := catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "tea"})
		Expect(err).NotTo(HaveOccurred())
		Expect(sku.GetStock().GetAvailable()).To(BeEquivalentTo(1))
		var whole []byte
		for token := ""; ; {
			piece, err := client.ExportJob(ctx, &bulkv1.ExportJobRequest{JobId: job.GetJobId(), PageToken: token})
			Expect(err).NotTo(HaveOccurred())
			whole = append(whole, piece.GetCsv()...)
			if token = piece.GetNextPageToken(); token == "" {
				break
			}
		}
		Expect(bytes.Count(whole, []byte("\r\n"))).To(BeEquivalentTo(job.GetRows() + 1))

		_, err = client.CreateJob(ctx, &bulkv1.CreateJobRequest{
			RequestId: uuid.NewString(), Kind: stocking, Csv: large(most + 1),
		})
		Expect(rpcerr.Reason(err)).To(Equal("INVALID_REQUEST"))
		_, err = client.CreateJob(ctx, &bulkv1.CreateJobRequest{
			RequestId: uuid.NewString(), Kind: stocking, Csv: large(4 << 20),
		})
		Expect(rpcerr.Reason(err)).To(Equal("REQUEST_TOO_LARGE"))
		_, err = catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: strings.Repeat("x", 64<<10)})
		Expect(rpcerr.Reason(err)).To(Equal("REQUEST_TOO_LARGE"))
	})

	It("let in who may, and keep who did, without the file", func(ctx SpecContext) {
		client := bulkv1connect.NewBulkServiceClient(as("sam", "support"))
		csv := []byte("order,text\n018f2c2e-7c43-8000-8000-000000000001,call +4912345\n")
		answer, err := client.CreateJob(ctx, &bulkv1.CreateJobRequest{RequestId: "file-1", Kind: noting, Csv: csv})
		Expect(err).NotTo(HaveOccurred())
		id := answer.GetJob().GetJobId()
		ended(ctx, client, id)
		_, err = client.ListJobRows(ctx, &bulkv1.ListJobRowsRequest{JobId: id})
		Expect(err).NotTo(HaveOccurred())
		_, err = client.CreateJob(ctx, &bulkv1.CreateJobRequest{RequestId: "file-2", Kind: stocking, Csv: csv})
		Expect(rpcerr.Reason(err)).To(Equal("KIND_NOT_ALLOWED"))
		_, err = client.CancelJob(ctx, &bulkv1.CancelJobRequest{RequestId: "cancel-1", JobId: id})
		Expect(err).NotTo(HaveOccurred())
		for subject, role := range map[string]string{"alice": "buyer", "backend": "checkout", "otto": "operations"} {
			_, err := bulkv1connect.NewBulkServiceClient(as(subject, role)).ListJobs(ctx, &bulkv1.ListJobsRequest{})
			Expect(rpcerr.Reason(err)).To(Equal("ROLE_MISSING"), subject)
		}

		entries, err := auditv1connect.NewAuditServiceClient(as("otto", "operations")).ListAuditEntries(ctx,
			&auditv1.ListAuditEntriesRequest{Subject: "sam"})
		Expect(err).NotTo(HaveOccurred())
		var kept []string
		for _, e := range entries.GetEntries() {
			kept = append(kept, fmt.Sprint(strings.TrimPrefix(e.GetProcedure(), "/orderd.bulk.v1.BulkService/"), " ",
				e.GetRequestId(), " ", e.GetOutcome(), " ", e.GetReason()))
			Expect(e.GetRequest()).NotTo(Or(ContainSubstring("csv"), ContainSubstring("4912345")))
		}
		Expect(kept).To(Equal([]string{
			"CancelJob cancel-1 OK ", "CreateJob file-2 PERMISSION_DENIED KIND_NOT_ALLOWED", "ListJobRows  OK ",
			"CreateJob file-1 OK ",
		}))
	})

	It("work on few files at once, however many come", func(ctx SpecContext) {
		client := bulkv1connect.NewBulkServiceClient(as("kim", "catalog"))
		csv := large(most)
		Eventually(func() string {
			errs := make(chan error, 24)
			for range cap(errs) {
				go func() {
					_, err := client.CreateJob(ctx, &bulkv1.CreateJobRequest{
						RequestId: uuid.NewString(), Kind: stocking, Csv: csv, DryRun: true,
					})
					errs <- err
				}()
			}
			reasons := map[string]bool{}
			for range cap(errs) {
				err := <-errs
				if after, told := rpcerr.RetryAfter(err); told && after > 0 {
					reasons[rpcerr.Reason(err)] = true
				}
			}
			return fmt.Sprint(reasons)
		}).WithPolling(time.Millisecond).Should(ContainSubstring("OVERLOADED"))
		// Whoever comes later finds a place.
		_, err := client.CreateJob(ctx, &bulkv1.CreateJobRequest{
			RequestId: uuid.NewString(), Kind: stocking, Csv: []byte("sku,delta\nx,1\n"), DryRun: true,
		})
		Expect(err).NotTo(HaveOccurred())
	})
})
