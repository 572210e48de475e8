// Package flash_test runs the flash lane on a real NATS server.
package flash_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func TestFlash(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
	RunSpecs(t, "Flash lane on NATS")
}

var promotions atomic.Int64

// newPromotion is one that has started and ends in an hour, with the items at a price of 100.
func newPromotion(partitions int32, limit int64, items ...prepare.Item) *flashv1.Promotion {
	n := promotions.Add(1)
	uid := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	p := &flashv1.Promotion{
		Uid: uid, Name: fmt.Sprintf("sale-%d", n), Streams: plog.StreamNames(uid, 1), Partitions: partitions,
		StartUnixMs: time.Now().Add(-time.Minute).UnixMilli(), EndUnixMs: time.Now().Add(time.Hour).UnixMilli(),
		Currency: "EUR", PaymentTimeoutMs: (15 * time.Minute).Milliseconds(), Open: true,
	}
	for _, item := range items {
		p.Items = append(p.Items, &flashv1.PromotedItem{Sku: item.SKU, UnitPrice: 100, LimitPerBuyer: limit})
	}
	return p
}

// open prepares and publishes a promotion of the flash lane alone, with what the items say.
func open(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, items ...prepare.Item) {
	GinkgoHelper()
	Expect(prepareAndPublish(ctx, saleOf(js, nil, p, items))).To(Succeed())
}

// saleOf is the sale of a promotion, with a database or without.
func saleOf(js jetstream.JetStream, pool *pgxpool.Pool, p *flashv1.Promotion, items []prepare.Item) *sale.Sale {
	o := sale.Options{Promotion: p, JetStream: sale.Opened(js), Replicas: 1, Actor: "operator"}
	for _, item := range items {
		o.Items = append(o.Items, sale.Quantity{SKU: item.SKU, Quantity: item.Quantity})
	}
	if pool != nil {
		o.Database = sale.Opened(pool)
	}
	return sale.New(o)
}

// prepareAndPublish prepares a sale and tells the pods.
func prepareAndPublish(ctx context.Context, s *sale.Sale) error {
	r := sale.Runner{Sale: s}
	if err := r.Prepare(ctx); err != nil {
		return err
	}
	return r.Publish(ctx)
}

// newServer is a NATS server of the test's own.
func newServer() *testnats.Server { return testnats.Run(GinkgoTB()) }

// newJetStream is on a NATS server of the test's own.
func newJetStream() jetstream.JetStream { return newServer().JetStream(GinkgoTB()) }

// buyerOf is the i-th of a partition's buyers.
func buyerOf(n, partitions int32, i int) string {
	for salt := 0; ; salt++ {
		if buyer := fmt.Sprintf("buyer-%d-%d", i, salt); partition.ForBuyer(buyer, partitions) == n {
			return buyer
		}
	}
}
