package flash_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// shownSoldOut says what each pod, without asking any partition, says of the promotion's first item.
func shownSoldOut(ctx context.Context, p *flashv1.Promotion, pods []*pod) []bool {
	GinkgoHelper()
	shown := make([]bool, len(pods))
	for i, pod := range pods {
		response, err := pod.GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
		Expect(err).NotTo(HaveOccurred())
		shown[i] = response.Items[0].SoldOut
	}
	return shown
}

var _ = Describe("Sold-out items", func() {
	const stock = 40
	var (
		js     jetstream.JetStream
		p      *flashv1.Promotion
		pods   []*pod
		orders map[string]string
	)
	everywhere, nowhere := Equal([]bool{true, true, true}), Equal([]bool{false, false, false})

	// try is one new buyer's request through each pod.
	try := func(ctx SpecContext, who string) (accepted int) {
		GinkgoHelper()
		for i, pod := range pods {
			buyer := fmt.Sprint(who, "-", i)
			got := insist(ctx, func(int) *flashpod.Service { return pod.Service }, request(p, buyer, "r", "a", 1))
			if got.order != "" {
				orders[buyer] = got.order
				accepted++
				continue
			}
			Expect(got.reason).To(Equal(rpcerr.ReasonSoldOut))
		}
		return accepted
	}

	// sell has new buyers ask until they got that many orders: an owner that just proved that
	// nothing is left may say so for a second.
	sell := func(ctx SpecContext, who string, want int) {
		GinkgoHelper()
		sold, round := 0, 0
		Eventually(func() int {
			round++
			sold += try(ctx, fmt.Sprint(who, "-", round))
			return sold
		}).Should(Equal(want))
		Expect(try(ctx, who+"-late")).To(BeZero())
	}

	// provedEverywhere has buyers ask, as there are in a sale: a proof that nobody heard of
	// in time is made again.
	probes := 0
	provedEverywhere := func(ctx SpecContext) {
		GinkgoHelper()
		Eventually(func() []bool {
			probes++
			Expect(try(ctx, fmt.Sprint("probe-", probes))).To(BeZero())
			return shownSoldOut(ctx, p, pods)
		}).Should(everywhere)
	}

	// staysProved watches for three seconds in which nobody asks and the machine does not stand
	// still: pods that have not heard of each other for a second know nothing.
	staysProved := func(ctx SpecContext) {
		GinkgoHelper()
		last := time.Now()
		since, stalled := last, last.Add(-time.Hour)
		Eventually(func() (time.Duration, error) {
			now := time.Now()
			if now.Sub(last) > 300*time.Millisecond {
				stalled = now
			}
			last = now
			if shown := shownSoldOut(ctx, p, pods); slices.Contains(shown, false) {
				if now.Sub(stalled) > 2*time.Second {
					return 0, StopTrying(fmt.Sprintf("not known any more after %s: %v", now.Sub(since), shown))
				}
				provedEverywhere(ctx)
				since = time.Now()
			}
			return now.Sub(since), nil
		}).WithTimeout(time.Minute).WithPolling(10 * time.Millisecond).Should(BeNumerically(">", 3*time.Second))
	}

	BeforeEach(func(ctx SpecContext) {
		js = newJetStream()
		items := []prepare.Item{{SKU: "a", Quantity: stock}}
		p = newPromotion(6, 0, items...)
		open(ctx, js, p, items...)
		pods = []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)}
		ready(pods...)
		orders = map[string]string{}
		sold := 0
		for i := 0; sold < stock; i++ {
			sold += try(ctx, fmt.Sprint("early-", i))
		}
		Expect(try(ctx, "late")).To(BeZero())
	})

	It("are known to every pod for as long as nothing comes back, and not a moment longer", func(ctx SpecContext) {
		began := time.Now()
		provedEverywhere(ctx)
		AddReportEntry("sold out", fmt.Sprintf("known to every pod after %s", time.Since(began).Round(time.Millisecond)),
			ReportEntryVisibilityAlways)
		staysProved(ctx)

		id, err := uuid.Parse(orders["early-0-0"])
		Expect(err).NotTo(HaveOccurred())
		began = time.Now()
		released, err := pods[2].PeerService().Release(ctx, &flashv1.ReleaseRequest{
			PromotionUid: p.Uid, BuyerId: "early-0-0", OrderId: id[:], Reason: flashv1.ReleaseReason_RELEASE_REASON_CANCELLED,
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(released.GetOutcome()).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		Eventually(shownSoldOut).WithArguments(ctx, p, pods).Should(nowhere)
		AddReportEntry("released", fmt.Sprintf("known to every pod after %s", time.Since(began).Round(time.Millisecond)),
			ReportEntryVisibilityAlways)
		sell(ctx, "again", 1)
		provedEverywhere(ctx)
	})

	It("are sold again on every pod once stock is added", func(ctx SpecContext) {
		provedEverywhere(ctx)
		p = proto.CloneOf(p)
		p.TopUps = append(p.TopUps, &flashv1.TopUp{Id: "more", Sku: "a", Quantity: 3})
		began := time.Now()
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(shownSoldOut).WithArguments(ctx, p, pods).Should(nowhere)
		AddReportEntry("topped up", fmt.Sprintf("known to every pod after %s", time.Since(began).Round(time.Millisecond)),
			ReportEntryVisibilityAlways)
		sell(ctx, "lucky", 3)
		Expect(sales(ctx, js, p)["a"].Sold).To(BeEquivalentTo(stock + 3))
	})
})
