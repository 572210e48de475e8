//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

const (
	jsonType  = "application/json"
	noOrderID = "00000000-0000-8000-8000-000000000000"
)

// answer is what an RPC says to an app that speaks JSON.
type answer struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"details"`
	raw string
}

var _ = Describe("an RPC", Ordered, func() {
	var (
		base map[string]string
		// shop acts for every buyer and keeps the catalog; alice and bob are buyers.
		shop, alice, bob string
	)

	BeforeAll(func(ctx context.Context) {
		base = map[string]string{}
		for _, pool := range []string{"standard", "flash"} {
			base[pool] = "https://" + forward("service/"+up.Cluster.Name+"-"+pool, 8080)
		}
		tokens, err := issuer.Ask(ctx, "https://"+forward("service/outside", 8090), []issuer.Claim{
			{
				Subject: "e2e",
				Roles:   []string{"checkout", "catalog-sync"},
			},
			{Subject: "alice", Roles: []string{"buyer"}},
			{Subject: "bob", Roles: []string{"buyer"}},
		})
		Expect(err).NotTo(HaveOccurred())
		shop, alice, bob = tokens[0], tokens[1], tokens[2]
	})

	callAs := func(ctx context.Context, token, pool, procedure, contentType, body string) answer {
		GinkgoHelper()
		return post(ctx, token, base[pool]+"/"+procedure, contentType, body)
	}

	call := func(ctx context.Context, pool, procedure, contentType, body string) answer {
		GinkgoHelper()
		return callAs(ctx, shop, pool, procedure, contentType, body)
	}

	It("knows its callers", func(ctx context.Context) {
		get, of := "orderd.order.v1.OrderService/GetOrder", `{"buyerId":"alice","orderId":"`+noOrderID+`"}`
		a := callAs(ctx, "", "standard", get, jsonType, of)
		Expect(a.status).To(Equal(http.StatusUnauthorized), a.raw)
		Expect(a.details()).To(ContainSubstring("TOKEN_MISSING"))
		Expect(callAs(ctx, alice+"x", "standard", get, jsonType, of).details()).To(ContainSubstring("TOKEN_INVALID"))
		Expect(callAs(ctx, alice, "standard", get, jsonType, of).Code).To(Equal("not_found"))
		Expect(callAs(ctx, bob, "standard", get, jsonType, of).Code).To(Equal("permission_denied"))
		a = callAs(ctx, alice, "standard", "orderd.catalog.v1.CatalogService/UpsertSku", jsonType, `{}`)
		Expect(a.details()).To(ContainSubstring("ROLE_MISSING"), a.raw)
		a = callAs(ctx, "", "flash", "orderd.flash.v1.FlashService/PlaceFlashOrder", jsonType, `{}`)
		Expect(a.status).To(Equal(http.StatusUnauthorized), a.raw)
	})

	DescribeTable(
		"refuses a request that is not valid and names what is wrong",
		func(ctx context.Context, pool, procedure, body, code, text string) {
			a := call(ctx, pool, procedure, jsonType, body)
			Expect(a.Code).To(Equal(code), a.raw)
			Expect(a.Message+a.details()).To(ContainSubstring(text), a.raw)
		},
		Entry("UpsertSku without a SKU", "standard", "orderd.catalog.v1.CatalogService/UpsertSku", `{}`, "invalid_argument",
			"sku"),
		Entry("UpsertSku with a negative price", "standard", "orderd.catalog.v1.CatalogService/UpsertSku",
			`{"sku":{"sku":"X","title":"x","price":{"amount":"-1","currency":"CNY"}}}`, "invalid_argument", "price.amount"),
		Entry("GetSku of none", "standard", "orderd.catalog.v1.CatalogService/GetSku", `{"sku":"NO-SUCH-SKU"}`, "not_found",
			"SKU_NOT_FOUND"),
		Entry("AdjustStock by nothing", "standard", "orderd.catalog.v1.CatalogService/AdjustStock",
			`{"requestId":"r","sku":"NO-SUCH-SKU","delta":"0"}`, "invalid_argument", "delta"),
		Entry("AdjustStock of none", "standard", "orderd.catalog.v1.CatalogService/AdjustStock",
			`{"requestId":"r","sku":"NO-SUCH-SKU","delta":"1"}`, "not_found", "SKU_NOT_FOUND"),
		Entry("PlaceOrder without lines", "standard", "orderd.order.v1.OrderService/PlaceOrder",
			`{"requestId":"r","buyerId":"b"}`, "invalid_argument", "lines"),
		Entry("PlaceOrder of too many", "standard", "orderd.order.v1.OrderService/PlaceOrder",
			`{"requestId":"r","buyerId":"b","lines":[{"sku":"X","quantity":"10000"}]}`, "invalid_argument", "lines[0].quantity"),
		Entry("PlaceOrder of an unknown SKU", "standard", "orderd.order.v1.OrderService/PlaceOrder",
			`{"requestId":"r","buyerId":"b","lines":[{"sku":"NO-SUCH-SKU","quantity":"1"}]}`, "not_found", "SKU_NOT_FOUND"),
		Entry("GetOrder by no id", "standard", "orderd.order.v1.OrderService/GetOrder",
			`{"buyerId":"b","orderId":"1"}`, "invalid_argument", "order_id"),
		Entry("GetOrder of none", "standard", "orderd.order.v1.OrderService/GetOrder",
			`{"buyerId":"b","orderId":"`+noOrderID+`"}`, "not_found", "ORDER_NOT_FOUND"),
		Entry("GetOrder of a buyer whose id cannot be stored", "standard", "orderd.order.v1.OrderService/GetOrder",
			`{"buyerId":"b\u0000","orderId":"`+noOrderID+`"}`, "invalid_argument", "buyer_id"),
		Entry("ListOrders of nobody", "standard", "orderd.order.v1.OrderService/ListOrders", `{}`, "invalid_argument",
			"buyer_id"),
		Entry("ListOrders from a token that is none", "standard", "orderd.order.v1.OrderService/ListOrders",
			`{"buyerId":"b","pageToken":"nonsense"}`, "invalid_argument", "INVALID_PAGE_TOKEN"),
		Entry("CancelOrder of none", "standard", "orderd.order.v1.OrderService/CancelOrder",
			`{"requestId":"r","buyerId":"b","orderId":"`+noOrderID+`"}`, "not_found", "ORDER_NOT_FOUND"),
		Entry("CreatePayment without a provider", "standard", "orderd.payment.v1.PaymentService/CreatePayment",
			`{"requestId":"r","buyerId":"b","orderId":"`+noOrderID+`"}`, "invalid_argument", "provider"),
		Entry("CreatePayment for no order", "standard", "orderd.payment.v1.PaymentService/CreatePayment",
			`{"requestId":"r","buyerId":"b","orderId":"`+noOrderID+`","provider":"sandbox"}`, "not_found", "ORDER_NOT_FOUND"),
		Entry("GetPayment of none", "standard", "orderd.payment.v1.PaymentService/GetPayment",
			`{"buyerId":"b","paymentId":"`+noOrderID+`"}`, "not_found", "PAYMENT_NOT_FOUND"),
		Entry("PlaceFlashOrder without items", "flash", "orderd.flash.v1.FlashService/PlaceFlashOrder",
			`{"promotion":"p","buyerId":"b","requestId":"r"}`, "invalid_argument", "items"),
		Entry("PlaceFlashOrder of nothing", "flash", "orderd.flash.v1.FlashService/PlaceFlashOrder",
			`{"promotion":"p","buyerId":"b","requestId":"r","items":[{"sku":"X","quantity":"0"}]}`, "invalid_argument",
			"items[0].quantity"),
		Entry("PlaceFlashOrder in no promotion", "flash", "orderd.flash.v1.FlashService/PlaceFlashOrder",
			`{"promotion":"no-such-promotion","buyerId":"b","requestId":"r","items":[{"sku":"X","quantity":"1"}]}`, "not_found",
			"PROMOTION_NOT_FOUND"),
		Entry("GetFlashOrder in no promotion", "flash", "orderd.flash.v1.FlashService/GetFlashOrder",
			`{"promotion":"no-such-promotion","buyerId":"b","requestId":"r"}`, "not_found", "PROMOTION_NOT_FOUND"),
		Entry("GetPromotion of none", "flash", "orderd.flash.v1.FlashService/GetPromotion",
			`{"promotion":"no-such-promotion"}`, "not_found", "PROMOTION_NOT_FOUND"),
		Entry("broken JSON", "standard", "orderd.order.v1.OrderService/GetOrder", `{"buyerId":`, "invalid_argument", ""),
		Entry("broken JSON to the flash lane", "flash", "orderd.flash.v1.FlashService/GetPromotion", `nonsense`,
			"invalid_argument", ""),
		Entry("a body over the limit", "flash", "orderd.flash.v1.FlashService/PlaceFlashOrder",
			`{"promotion":"`+strings.Repeat("x", 1<<20)+`"}`, "resource_exhausted", ""),
	)

	It("refuses content types it does not speak", func(ctx context.Context) {
		a := call(ctx, "standard", "orderd.order.v1.OrderService/GetOrder", "text/plain", "hello")
		Expect(a.status).To(Equal(http.StatusUnsupportedMediaType), a.raw)
	})

	It("places, shows and cancels an order", func(ctx context.Context) {
		orders, catalog := "orderd.order.v1.OrderService/", "orderd.catalog.v1.CatalogService/"
		run := "e2e-" + time.Now().UTC().Format("20060102150405.000")
		a := call(ctx, "standard", catalog+"UpsertSku", jsonType,
			`{"sku":{"sku":"E2E","title":"A test","onSale":true,"price":{"amount":"100","currency":"CNY"}}}`)
		Expect(a.status).To(Equal(http.StatusOK), a.raw)
		a = call(ctx, "standard", catalog+"AdjustStock", jsonType, `{"requestId":"`+run+`","sku":"E2E","delta":"1"}`)
		Expect(a.status).To(Equal(http.StatusOK), a.raw)
		place := `{"requestId":"` + run + `","buyerId":"e2e","lines":[{"sku":"E2E","quantity":"1"}]}`
		a = call(ctx, "standard", orders+"PlaceOrder", jsonType, place)
		Expect(a.status).To(Equal(http.StatusOK), a.raw)
		var placed struct {
			Order struct{ OrderID, State string }
		}
		Expect(json.Unmarshal([]byte(a.raw), &placed)).To(Succeed())
		Expect(placed.Order.State).To(Equal("ORDER_STATE_PENDING_PAYMENT"))
		By("answering a retry with the same order")
		Expect(call(ctx, "standard", orders+"PlaceOrder", jsonType, place).raw).To(ContainSubstring(placed.Order.OrderID))
		By("refusing the request id for another body")
		a = call(ctx, "standard", orders+"PlaceOrder", jsonType, strings.Replace(place, `"1"`, `"2"`, 1))
		Expect(a.details()).To(ContainSubstring("REQUEST_ID_REUSED"), a.raw)
		By("not showing it to another buyer")
		a = callAs(ctx, bob, "standard", orders+"GetOrder", jsonType, `{"orderId":"`+placed.Order.OrderID+`"}`)
		Expect(a.Code).To(Equal("not_found"), a.raw)
		a = call(ctx, "standard", orders+"CancelOrder", jsonType,
			`{"requestId":"c`+run+`","buyerId":"e2e","orderId":"`+placed.Order.OrderID+`"}`)
		Expect(a.raw).To(ContainSubstring("ORDER_STATE_CANCELLED"))
	})
})

// post calls an RPC as an app that speaks JSON would.
func post(ctx context.Context, token, url, contentType, body string) answer {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	Expect(err).NotTo(HaveOccurred())
	a := answer{status: res.StatusCode, raw: string(raw)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), jsonType) {
		Expect(json.Unmarshal(raw, &a)).To(Succeed(), a.raw)
	}
	return a
}

// details are the error's details as they are encoded: strings, such as a reason,
// stand in them as text.
func (a answer) details() string {
	GinkgoHelper()
	var all strings.Builder
	for _, d := range a.Details {
		value, err := base64.RawStdEncoding.DecodeString(d.Value)
		Expect(err).NotTo(HaveOccurred(), a.raw)
		all.WriteString(d.Type + " " + string(value) + " ")
	}
	return all.String()
}
