package quote_test

import (
	"fmt"
	"sync"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var _ = Describe("The confirm-order page", func() {
	var w *world
	var ann *caller
	BeforeEach(func() {
		w = stocked()
		ann = w.buyer("ann")
	})

	quoteOf := func(req *quotev1.QuoteOrderRequest) *quotev1.Quote {
		GinkgoHelper()
		return must(ann.quotes.QuoteOrder(ctx(), req)).GetQuote()
	}

	It("goes from a guest's cart to an order that costs what was quoted", func() {
		guest := w.guest("guest-1")
		w.add(guest, "TEA", 2)
		w.add(guest, "CUP", 1)
		w.add(ann, "TEA", 1)
		merged := must(ann.cart.MergeCart(ctx(), &cartv1.MergeCartRequest{RequestId: w.request(), GuestToken: guest.token}))
		Expect(merged.GetMergedLines()).To(Equal(int64(2)))
		Expect(inCart(guest)).To(BeEmpty())
		Expect(inCart(ann)).To(Equal(map[string]int64{"TEA": 3, "CUP": 1}))
		must(ann.cart.SelectCartLines(ctx(), &cartv1.SelectCartLinesRequest{RequestId: w.request(), Skus: []string{"CUP"}}))

		saved := must(
			ann.addresses.SaveAddress(ctx(), &addressv1.SaveAddressRequest{RequestId: w.request(), Address: home("Zhejiang")}),
		).GetAddress()
		invoice := &quotev1.Invoice{Kind: quotev1.InvoiceKind_INVOICE_KIND_COMPANY, Title: "Tea Ltd", TaxId: "91330000X"}
		quoted := quoteOf(
			&quotev1.QuoteOrderRequest{Delivery: &quotev1.Delivery{AddressId: saved.GetAddressId()}, Invoice: invoice},
		)
		// Three units of 300 g are within the first kilo; 9 % of 38.00 are in it.
		Expect(quoted.GetLines()).To(HaveLen(1))
		Expect(quoted.GetGoods()).To(EqualProto(cny(3000)))
		Expect(quoted.GetFreight()).To(EqualProto(cny(800)))
		Expect(quoted.GetTotal()).To(EqualProto(cny(3800)))
		Expect(quoted.GetTax()).To(EqualProto(cny(314)))
		Expect(quoted.GetInvoice()).To(EqualProto(invoice))
		Expect(quoted.GetDeliveries()).To(HaveLen(1))
		Expect(quoted.GetDeliveryMethod()).To(Equal("standard"))

		placed := must(w.place(ann, quoted.GetToken()))
		Expect(placed.GetTotal()).To(EqualProto(quoted.GetTotal()))
		Expect(placed.GetTax()).To(EqualProto(quoted.GetTax()))
		Expect(placed.GetFreight()).To(EqualProto(quoted.GetFreight()))
		Expect(placed.GetAddress()).To(EqualProto(home("Zhejiang")))
		Expect(placed.GetInvoice()).To(EqualProto(invoice))
		Expect(inCart(ann)).To(Equal(map[string]int64{"CUP": 1}), "what was not selected stays")
		_, err := ann.quotes.QuoteOrder(ctx(), &quotev1.QuoteOrderRequest{})
		Expect(err).To(refusedAs("CART_EMPTY"))
	})

	It("refuses a token when a price has changed, and answers with what holds now", func() {
		quoted := quoteOf(&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 2}), Delivery: to("Zhejiang")})
		w.sell(tea(1100))
		_, err := w.place(ann, quoted.GetToken())
		Expect(err).To(refusedAs("PRICE_CHANGED"))
		now, found := rpcerr.Detail[*quotev1.Quote](err)
		Expect(found).To(BeTrue())
		Expect(now.GetTotal()).To(EqualProto(cny(3000)))
		Expect(must(w.place(ann, now.GetToken())).GetTotal()).To(EqualProto(cny(3000)))
	})

	It("refuses a token when the freight has changed, and when the region was closed since", func() {
		quoted := quoteOf(&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 2}), Delivery: to("Zhejiang")})
		cheaper := byWeight()
		cheaper.Rules[0].FirstCharge = 700
		w.charge(cheaper)
		_, err := w.place(ann, quoted.GetToken())
		Expect(err).To(refusedAs("PRICE_CHANGED"))
		closed := byWeight()
		closed.Rules[0].NotDeliverable = true
		w.charge(closed)
		_, err = w.place(ann, quoted.GetToken())
		Expect(err).To(refusedAs("UNDELIVERABLE"))
		w.charge(byWeight())
		Expect(must(w.place(ann, quoted.GetToken())).GetTotal()).To(EqualProto(cny(2800)), "the promise holds again")
	})

	It("lets a token end, and gives it to nobody else", func() {
		quoted := quoteOf(&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1})})
		_, err := w.place(w.buyer("bob"), quoted.GetToken())
		Expect(err).To(refusedAs("QUOTE_INVALID"))
		w.ahead.Add(int64(lifetime))
		_, err = w.place(ann, quoted.GetToken())
		Expect(err).To(refusedAs("QUOTE_EXPIRED"))
	})

	It("answers a retry of a placed token after the token's end and after the price has changed", func() {
		quoted := quoteOf(&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1})})
		req := &orderv1.PlaceOrderRequest{RequestId: w.request(), QuoteToken: quoted.GetToken()}
		first := must(ann.orders.PlaceOrder(ctx(), req))
		w.sell(tea(5))
		Expect(must(ann.orders.PlaceOrder(ctx(), req))).To(EqualProto(first))
		w.ahead.Add(int64(lifetime))
		Expect(must(ann.orders.PlaceOrder(ctx(), req))).To(EqualProto(first))
	})

	It("delivers where the quote said, whatever becomes of the saved address", func() {
		saved := must(
			ann.addresses.SaveAddress(ctx(), &addressv1.SaveAddressRequest{RequestId: w.request(), Address: home("Zhejiang")}),
		).GetAddress()
		quoted := quoteOf(&quotev1.QuoteOrderRequest{
			Lines:    lines(map[string]int64{"TEA": 1}),
			Delivery: &quotev1.Delivery{AddressId: saved.GetAddressId()},
		})
		must(
			ann.addresses.DeleteAddress(ctx(),
				&addressv1.DeleteAddressRequest{RequestId: w.request(), AddressId: saved.GetAddressId()}),
		)
		Expect(must(w.place(ann, quoted.GetToken())).GetAddress()).To(EqualProto(home("Zhejiang")))
		_, err := ann.quotes.QuoteOrder(ctx(), &quotev1.QuoteOrderRequest{
			Lines: lines(map[string]int64{"TEA": 1}), Delivery: &quotev1.Delivery{AddressId: saved.GetAddressId()},
		})
		Expect(err).To(refusedAs("ADDRESS_NOT_FOUND"))
	})

	It("says where goods are not delivered to, and what cannot be together in an order", func() {
		_, err := ann.quotes.QuoteOrder(ctx(),
			&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1}), Delivery: to("Tibet")})
		Expect(err).To(refusedAs("UNDELIVERABLE"))
		Expect(rpcerr.Metadata(err)).To(And(HaveKeyWithValue("country", "CN"), HaveKeyWithValue("region", "Tibet")))
		abroad := to("Bavaria")
		abroad.Address.Country = "DE"
		_, err = ann.quotes.QuoteOrder(ctx(),
			&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1}), Delivery: abroad})
		Expect(err).To(refusedAs("UNDELIVERABLE"))

		dollars := tea(1)
		dollars.Sku, dollars.Price.Currency = "USD", "USD"
		w.sell(dollars)
		_, err = ann.quotes.QuoteOrder(ctx(), &quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1, "USD": 1})})
		Expect(err).To(refusedAs("CURRENCY_MISMATCH"))
		Expect(rpcerr.Metadata(err)).To(HaveKeyWithValue("sku", "USD"))

		off := tea(1000)
		off.OnSale = false
		w.sell(off)
		_, err = ann.quotes.QuoteOrder(ctx(), &quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1})})
		Expect(err).To(refusedAs("SKU_NOT_ON_SALE"))
	})

	It("offers coupons, and says why others cannot be used", func() {
		staff := w.staff()
		for name, threshold := range map[string]int64{"ten-off": 2000, "big": 100000} {
			must(
				staff.coupons.UpsertCouponTemplate(
					ctx(),
					&couponv1.UpsertCouponTemplateRequest{RequestId: w.request(), Template: &couponv1.CouponTemplate{
						Name:          name,
						Title:         name,
						Currency:      "CNY",
						Benefit:       &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: 1000}},
						Threshold:     threshold,
						Validity:      &couponv1.Validity{Days: 7},
						LimitPerBuyer: 1,
						Budget:        &couponv1.Budget{Coupons: 10},
						Claimable:     true,
					}},
				),
			)
		}
		ids := map[string]string{}
		for _, name := range []string{"ten-off", "big"} {
			ids[name] = must(
				ann.coupons.ClaimCoupon(ctx(), &couponv1.ClaimCouponRequest{RequestId: w.request(), Template: name}),
			).GetCoupon().GetCouponId()
		}
		// 10.00 off 39.99, of which tea has 20.00.
		req := &quotev1.QuoteOrderRequest{
			Lines:     lines(map[string]int64{"TEA": 2, "CUP": 1}),
			CouponIds: []string{ids["ten-off"]},
		}
		quoted := quoteOf(req)
		Expect(quoted.GetTotal()).To(EqualProto(cny(2999)))
		Expect(quoted.GetLines()[0].GetDiscount()).To(EqualProto(cny(500)))
		Expect(quoted.GetLines()[1].GetDiscount()).To(EqualProto(cny(500)))
		Expect(quoted.GetCoupons()).To(HaveLen(2))
		Expect(quoted.GetCoupons()[0]).To(
			EqualProto(&quotev1.QuotedCoupon{CouponId: ids["ten-off"], Title: "ten-off", Discount: cny(1000), Applied: true}),
		)
		Expect(quoted.GetCoupons()[1].GetUnusable()).To(Equal("BELOW_THRESHOLD"))

		placed := must(w.place(ann, quoted.GetToken()))
		Expect(placed.GetDiscount()).To(EqualProto(cny(1000)))
		Expect(placed.GetCouponIds()).To(Equal([]string{ids["ten-off"]}))
		_, err := ann.quotes.QuoteOrder(ctx(), req)
		Expect(err).To(refusedAs("COUPON_UNUSABLE"))
		Expect(rpcerr.Metadata(err)).To(And(
			HaveKeyWithValue("why", "LOCKED"), HaveKeyWithValue("order_id", placed.GetOrderId())))
		req.CouponIds = []string{ids["big"]}
		_, err = w.buyer("bob").quotes.QuoteOrder(ctx(), req)
		Expect(rpcerr.Metadata(err)).To(And(
			HaveKeyWithValue("why", "NOT_FOUND"), Not(HaveKey("order_id"))), "another's coupon")
		req.CouponIds = []string{ids["ten-off"]}
		_, err = w.buyer("bob").quotes.QuoteOrder(ctx(), req)
		Expect(rpcerr.Metadata(err)).NotTo(HaveKey("order_id"), "another's coupon, locked")
	})

	It("quotes one price or the other, never a mixture, while prices change", func() {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			defer GinkgoRecover()
			for i := int64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
					w.sell(tea(1000 + 100*(i%2)))
				}
			}
		})
		for range 50 {
			quoted := quoteOf(
				&quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 2, "CUP": 1}), Delivery: to("Zhejiang")},
			)
			unit := quoted.GetLines()[0].GetUnitPrice().GetAmount()
			Expect(unit).To(BeElementOf(int64(1000), int64(1100)))
			Expect(quoted.GetTotal().GetAmount()).To(Equal(2*unit + 1999 + 1000))
			_, err := w.place(ann, quoted.GetToken())
			if err != nil {
				Expect(err).To(refusedAs("PRICE_CHANGED"))
			}
		}
		close(stop)
		wg.Wait()
	})

	It("keeps buyers and staff to what is theirs", func() {
		_, err := w.buyer("bob").cart.GetCart(ctx(), &cartv1.GetCartRequest{BuyerId: "ann"})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodePermissionDenied))
		_, err = ann.freight.ListDeliveryMethods(ctx(), &freightv1.ListDeliveryMethodsRequest{})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodePermissionDenied))
		_, err = ann.cart.MergeCart(ctx(), &cartv1.MergeCartRequest{RequestId: w.request(), GuestToken: w.buyer("bob").token})
		Expect(err).To(refusedAs("GUEST_TOKEN_INVALID"))
		_, err = ann.cart.MergeCart(ctx(), &cartv1.MergeCartRequest{RequestId: w.request(), GuestToken: "rubbish"})
		Expect(err).To(refusedAs("GUEST_TOKEN_INVALID"))
	})
})

// One world is enough for specs that only ask.
var _ = Describe("What a shop answers without changing", Ordered, func() {
	var w *world
	var ann *caller
	BeforeAll(func() {
		w = stocked()
		ann = w.buyer("ann")
	})

	DescribeTable("charges freight by the rule of the region",
		func(region string, quantities map[string]int64, want int64) {
			quoted := must(
				ann.quotes.QuoteOrder(ctx(), &quotev1.QuoteOrderRequest{Lines: lines(quantities), Delivery: to(region)}),
			).GetQuote()
			Expect(quoted.GetFreight()).To(EqualProto(cny(want)))
		},
		Entry("the first kilo", "Zhejiang", map[string]int64{"TEA": 1, "CUP": 1}, int64(800)),
		Entry("a gram more begins a further half", "Zhejiang", map[string]int64{"TEA": 4}, int64(1000)),
		Entry("a dearer region", "Xinjiang", map[string]int64{"TEA": 4}, int64(3500)),
		Entry("free from the threshold", "Zhejiang", map[string]int64{"TEA": 10}, int64(0)),
		Entry("where there is no threshold", "Xinjiang", map[string]int64{"TEA": 10}, int64(6500)),
	)

	DescribeTable("refuses requests that make no sense",
		func(change func(*quotev1.QuoteOrderRequest)) {
			req := &quotev1.QuoteOrderRequest{Lines: lines(map[string]int64{"TEA": 1}), Delivery: to("Zhejiang")}
			change(req)
			_, err := ann.quotes.QuoteOrder(ctx(), req)
			Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument), fmt.Sprint(err))
		},
		Entry("a SKU twice", func(r *quotev1.QuoteOrderRequest) { r.Lines = append(r.Lines, r.Lines[0]) }),
		Entry("no units", func(r *quotev1.QuoteOrderRequest) { r.Lines[0].Quantity = 0 }),
		Entry("two addresses", func(r *quotev1.QuoteOrderRequest) {
			r.Delivery.AddressId = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
		}),
		Entry("no address", func(r *quotev1.QuoteOrderRequest) { r.Delivery.Address = nil }),
		Entry("a company without its tax id", func(r *quotev1.QuoteOrderRequest) {
			r.Invoice = &quotev1.Invoice{Kind: quotev1.InvoiceKind_INVOICE_KIND_COMPANY, Title: "Tea Ltd"}
		}),
		Entry("a person with a tax id", func(r *quotev1.QuoteOrderRequest) {
			r.Invoice = &quotev1.Invoice{Kind: quotev1.InvoiceKind_INVOICE_KIND_PERSONAL, Title: "Ann", TaxId: "1"}
		}),
		Entry("an invoice for nobody", func(r *quotev1.QuoteOrderRequest) { r.Invoice = &quotev1.Invoice{Title: "Ann"} }),
		Entry("a country in words", func(r *quotev1.QuoteOrderRequest) { r.Delivery.Address.Country = "China" }),
		Entry("a coupon that is no id", func(r *quotev1.QuoteOrderRequest) { r.CouponIds = []string{"ten-off"} }),
	)

	DescribeTable("refuses templates that make no sense",
		func(change func(*freightv1.FreightTemplate)) {
			template := byWeight()
			change(template)
			_, err := w.staff().freight.UpsertFreightTemplate(ctx(),
				&freightv1.UpsertFreightTemplateRequest{RequestId: w.request(), Template: template})
			Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument), fmt.Sprint(err))
		},
		Entry("a region of no country", func(t *freightv1.FreightTemplate) { t.Rules[1].Country = "" }),
		Entry("a region twice", func(t *freightv1.FreightTemplate) { t.Rules[1].Region = "Tibet" }),
		Entry("a region twice, written another way", func(t *freightv1.FreightTemplate) { t.Rules[1].Region = " tibet" }),
		Entry("a charge for no units", func(t *freightv1.FreightTemplate) { t.Rules[0].AdditionalUnits = 0 }),
		Entry("a negative charge", func(t *freightv1.FreightTemplate) { t.Rules[0].FirstCharge = -1 }),
		Entry("a negative threshold", func(t *freightv1.FreightTemplate) { t.Rules[0].FreeFrom = proto.Int64(-1) }),
		Entry("no rules", func(t *freightv1.FreightTemplate) { t.Rules = nil }),
		Entry("units of nothing", func(t *freightv1.FreightTemplate) { t.ChargeBy = 0 }),
	)
})
