package standard_test

import (
	"context"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("The catalog", func() {
	It("keeps a SKU's stock while its title and price change", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		changed := &catalogv1.Sku{Sku: "tea", Title: "Better tea", Price: &moneyv1.Money{Amount: 300, Currency: "CNY"}}
		for range 2 {
			answer, err := s.catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: changed})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetSku().GetTitle()).To(Equal("Better tea"))
		}
		answer, err := s.catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "tea"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetSku().GetPrice().GetAmount()).To(Equal(int64(300)))
		Expect(answer.GetSku().GetOnSale()).To(BeFalse())
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 5}))
	})

	It("adjusts stock once a request id", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		req := &catalogv1.AdjustStockRequest{RequestId: "morning", Sku: "tea", Delta: -2}
		for range 3 {
			answer, err := s.catalog.AdjustStock(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetStock().GetAvailable()).To(Equal(int64(3)))
		}
		_, err := s.catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "morning", Sku: "tea", Delta: -1})
		Expect(err).To(failWith(connect.CodeAlreadyExists, "REQUEST_ID_REUSED"))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3}))
	})

	It("refuses what cannot be", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		_, err := s.catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "ghost"})
		Expect(err).To(failWith(connect.CodeNotFound, "SKU_NOT_FOUND"))
		_, err = s.catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "a", Sku: "ghost", Delta: 1})
		Expect(err).To(failWith(connect.CodeNotFound, "SKU_NOT_FOUND"))
		_, err = s.catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "b", Sku: "tea", Delta: -6})
		Expect(err).To(failWith(connect.CodeFailedPrecondition, "INSUFFICIENT_STOCK"))
		_, err = s.catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "c", Sku: "tea"})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument))
		Expect(err.Error()).To(ContainSubstring("delta"))
		_, err = s.catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{Sku: "no price", Title: "x"}})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 5}))
	})
})
