package events_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/types/known/timestamppb"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	pushv1 "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
)

// stock has tea on sale, delivered everywhere in China, and a coupon for whoever pays for some.
func (w *world) stock(ctx context.Context) {
	GinkgoHelper()
	staff := w.staff()
	must(staff.catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{RequestId: w.request(), Sku: &catalogv1.Sku{
		Sku:         "TEA",
		Title:       "Green tea",
		Price:       &moneyv1.Money{Amount: 1000, Currency: "CNY"},
		OnSale:      true,
		WeightGrams: 300,
		Category:    "tea",
	}}))
	must(staff.catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: w.request(), Sku: "TEA", Delta: 1000}))
	must(
		staff.freight.UpsertFreightTemplate(
			ctx,
			&freightv1.UpsertFreightTemplateRequest{RequestId: w.request(), Template: &freightv1.FreightTemplate{
				Name:     "by-weight",
				Currency: "CNY",
				ChargeBy: freightv1.ChargeBy_CHARGE_BY_WEIGHT,
				Rules: []*freightv1.FreightRule{
					{Country: "CN", FirstUnits: 1000, FirstCharge: 800, AdditionalUnits: 500, AdditionalCharge: 200},
				},
			}},
		),
	)
	must(staff.freight.UpsertDeliveryMethod(ctx, &freightv1.UpsertDeliveryMethodRequest{
		RequestId: w.request(), Method: &freightv1.DeliveryMethod{Name: "standard", Title: "Standard", Template: "by-weight"},
	}))
	must(
		staff.coupons.UpsertCouponTemplate(
			ctx,
			&couponv1.UpsertCouponTemplateRequest{RequestId: w.request(), Template: &couponv1.CouponTemplate{
				Name:          "thanks",
				Title:         "Thank you",
				Currency:      "CNY",
				Benefit:       &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: 100}},
				Validity:      &couponv1.Validity{Days: 30},
				LimitPerBuyer: 100,
				Budget:        &couponv1.Budget{Coupons: 1000},
			}},
		),
	)
	must(
		staff.rewards.UpsertCampaign(
			ctx,
			&rewardv1.UpsertCampaignRequest{RequestId: w.request(), Campaign: &rewardv1.Campaign{
				Name:     "thanks",
				Title:    "Thank you",
				From:     timestamppb.New(time.Now().Add(-time.Hour)),
				Until:    timestamppb.New(time.Now().Add(time.Hour)),
				Template: "thanks",
				Quantity: 1,
				Budget:   1000,
			}},
		),
	)
}

// buy places an order of the buyer and pays for it, and returns its id.
func (w *world) buy(ctx context.Context, buyer string) string {
	GinkgoHelper()
	b := w.buyer(buyer)
	placed := must(b.orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: w.request(),
		BuyerId:   buyer,
		Lines:     []*orderv1.PlaceOrderLine{{Sku: "TEA", Quantity: 2}},
		Delivery: &quotev1.Delivery{
			Address: &addressv1.Address{
				Recipient: "Ann",
				Phone:     "+86 571 12345",
				Country:   "CN",
				Region:    "Zhejiang",
				City:      "Hangzhou",
				Street:    "Street 1",
			},
		},
	})).GetOrder()
	charged := must(
		b.payments.CreatePayment(ctx, &paymentv1.CreatePaymentRequest{
			RequestId: w.request(),
			BuyerId:   buyer,
			OrderId:   placed.GetOrderId(),
			Provider:  "sandbox",
		}),
	)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, charged.GetRedirectUrl(), nil)
	Expect(err).NotTo(HaveOccurred())
	res, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	Expect(res.Body.Close()).To(Succeed())
	Expect(res.StatusCode).To(Equal(http.StatusOK))
	return placed.GetOrderId()
}

// coupons is how many the buyer has.
func (w *world) coupons(ctx context.Context, buyer string) int {
	GinkgoHelper()
	return len(
		must(
			w.buyer(buyer).coupons.ListCoupons(ctx,
				&couponv1.ListCouponsRequest{BuyerId: buyer, State: couponv1.CouponState_COUPON_STATE_AVAILABLE, PageSize: 100}),
		).GetCoupons(),
	)
}

// parcels are the carrier's, by order.
func (w *world) parcels() map[string]int {
	out := map[string]int{}
	for _, p := range w.carrier.Parcels() {
		out[p.OrderID]++
	}
	return out
}

// told are the events that buyers were told of, by order.
func (w *world) told() map[string][]string {
	out := map[string][]string{}
	for _, n := range w.gateway.Taken() {
		out[n.Data.OrderID] = append(out[n.Data.OrderID], n.Data.Event+" "+n.Data.Language)
	}
	return out
}

var _ = Describe("After the payment", func() {
	It("grants the coupon, tells the buyer and asks the carrier, each once an order", func(ctx context.Context) {
		w := newWorld()
		w.stock(ctx)
		must(
			w.buyer(
				"bo",
			).push.SetLanguage(ctx, &pushv1.SetLanguageRequest{RequestId: w.request(), BuyerId: "bo", Language: "zh-CN"}),
		)
		wantTold, wantParcels := map[string][]string{}, map[string]int{}
		for range 5 {
			ann, bo := w.buy(ctx, "ann"), w.buy(ctx, "bo")
			wantTold[ann], wantTold[bo] = []string{"paid en"}, []string{"paid zh"}
			wantParcels[ann], wantParcels[bo] = 1, 1
		}
		Eventually(w.told).WithTimeout(patience).Should(Equal(wantTold))
		Eventually(w.parcels).WithTimeout(patience).Should(Equal(wantParcels))
		for _, buyer := range []string{"ann", "bo"} {
			Eventually(func() int { return w.coupons(ctx, buyer) }).WithTimeout(patience).Should(Equal(5))
		}
		Expect(w.gateway.Refused()).To(BeEmpty())
		for _, n := range w.gateway.Taken() {
			Expect(n.Source).To(Equal("shop/test"))
			Expect(n.Times).To(Equal(1))
		}
	})

	It("goes on where one of them cannot, and staff replay what it could not do", func(ctx context.Context) {
		w := newWorld()
		w.stock(ctx)
		By("with a push gateway that is dead")
		w.gateway.SetFault(func(pushgateway.Notification) pushgateway.Fault { return pushgateway.Fault{Drop: true} })
		first := w.buy(ctx, "ann")
		Eventually(w.parcels).WithTimeout(patience).Should(HaveKey(first))
		Eventually(func() int { return w.coupons(ctx, "ann") }).WithTimeout(patience).Should(Equal(1))
		Expect(w.told()).To(BeEmpty())

		By("with one that refuses what it gets")
		w.gateway.SetFault(func(pushgateway.Notification) pushgateway.Fault {
			return pushgateway.Fault{Status: http.StatusUnprocessableEntity}
		})
		staff := w.staff()
		var letters []*deadletterv1.DeadLetter
		Eventually(func() []*deadletterv1.DeadLetter {
			letters = must(
				staff.letters.ListDeadLetters(ctx, &deadletterv1.ListDeadLettersRequest{Consumer: "push"}),
			).GetDeadLetters()
			return letters
		}).WithTimeout(2 * patience).Should(HaveLen(1))
		Expect(letters[0].GetOrderId()).To(Equal(first))
		Expect(letters[0].GetReason()).To(ContainSubstring("answered 422"))
		read := must(
			staff.letters.GetDeadLetter(ctx, &deadletterv1.GetDeadLetterRequest{DeadLetterId: letters[0].GetDeadLetterId()}),
		)
		Expect(read.GetEventJson()).To(ContainSubstring(`"state":"ORDER_STATE_PAID"`))

		By("with one that works again")
		w.gateway.SetFault(nil)
		must(
			staff.letters.ReplayDeadLetter(ctx,
				&deadletterv1.ReplayDeadLetterRequest{RequestId: w.request(), DeadLetterId: letters[0].GetDeadLetterId()}),
		)
		Eventually(w.told).WithTimeout(patience).Should(Equal(map[string][]string{first: {"paid en"}}))
		Expect(
			must(staff.letters.ListDeadLetters(ctx, &deadletterv1.ListDeadLettersRequest{})).GetDeadLetters(),
		).To(BeEmpty())
		Expect(w.coupons(ctx, "ann")).To(Equal(1))
		Expect(w.parcels()).To(Equal(map[string]int{first: 1}))

		By("with nobody but operations allowed to do that")
		_, err := w.buyer("ann").letters.ListDeadLetters(ctx, &deadletterv1.ListDeadLettersRequest{})
		Expect(err).To(HaveOccurred())
	})
})
