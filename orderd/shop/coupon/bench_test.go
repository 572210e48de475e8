package coupon_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

// BenchmarkClaims has 16 connections claim coupons of one template that everybody wants,
// each for another buyer.
func BenchmarkClaims(b *testing.B) {
	for _, template := range []*couponv1.CouponTemplate{
		fixed("fixed", func(t *couponv1.CouponTemplate) { t.Budget.Coupons = 1_000_000_000 }),
		envelope("envelope", 1_000_000_000, 1_000_000),
	} {
		b.Run(template.GetName(), func(b *testing.B) {
			s := newShop(b)
			s.upsert(b, template)
			var buyers atomic.Int64
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.claim(template.GetName(), fmt.Sprintf("buyer%d", buyers.Add(1))); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
		})
	}
}
