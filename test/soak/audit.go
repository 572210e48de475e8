package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// unitsOfEach is how much of each SKU is put into stock: more than any walk takes.
const unitsOfEach = 10_000_000

// stock puts all SKUs into the catalog.
func (p *place) stock(ctx context.Context) error {
	c := catalog.NewService(catalog.Options{Pool: p.pool, Clock: now})
	for _, sku := range skus {
		_, err := c.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku: sku, Title: sku, OnSale: true, Price: &moneyv1.Money{Amount: 100, Currency: "CNY"},
		}})
		if err == nil {
			_, err = c.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "first-" + sku, Sku: sku, Delta: unitsOfEach})
		}
		if err != nil {
			return fmt.Errorf("putting %s into the catalog: %w", sku, err)
		}
		p.added[sku] = unitsOfEach
	}
	return nil
}

// told is what the pods of a place know of a promotion; nil: nothing.
func (p *place) told(ctx context.Context, promotion *v1alpha1.PromotionEvent) (*flashv1.Promotion, error) {
	bucket, err := p.js.KeyValue(ctx, prepare.PromotionsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entry, err := bucket.Get(ctx, string(promotion.UID))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	told := &flashv1.Promotion{}
	return told, proto.Unmarshal(entry.Value(), told)
}

// audit says what is in the database and in NATS that no promotion accounts for.
func audit(ctx context.Context, p *place) ([]string, error) {
	var list v1alpha1.PromotionEventList
	if err := p.kube.List(ctx, &list, client.InNamespace(p.namespace)); err != nil {
		return nil, err
	}
	there := map[string]*v1alpha1.PromotionEvent{}
	for i := range list.Items {
		there[string(list.Items[i].UID)] = &list.Items[i]
	}
	wrong, err := p.auditStock(ctx, there)
	if err != nil {
		return nil, err
	}
	more, err := p.auditMessaging(ctx, there)
	return append(wrong, more...), err
}

// auditStock compares what promotions took, by what the database says of each, with what is left to sell.
func (p *place) auditStock(ctx context.Context, there map[string]*v1alpha1.PromotionEvent) (wrong []string, err error) {
	rows, err := p.pool.Query(ctx, "SELECT DISTINCT ref FROM stock_movements WHERE kind = 'PROMOTION_ALLOCATE'")
	if err != nil {
		return nil, err
	}
	uids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	held := map[string]int64{}
	for _, uid := range uids {
		taken, err := p.taken(ctx, uid)
		if err != nil {
			return nil, err
		}
		promotion := there[uid]
		for sku, n := range taken.held() {
			held[sku] += n
		}
		over := promotion == nil || !promotion.Status.SettledTime.IsZero()
		for sku, n := range taken.unaccounted() {
			if over && n != 0 {
				wrong = append(wrong, fmt.Sprintf("promotion %s is over, and %d of %s were neither sold nor returned", uid, n, sku))
			}
		}
		if promotion != nil && !over && !promotion.Spec.EndTime.After(now()) {
			continue
		}
		if promotion != nil && !over {
			for _, item := range promotion.Spec.Items {
				if got := taken.all[item.SKU]; got != item.Stock {
					wrong = append(wrong, fmt.Sprintf("%s has %d of %s, and its spec says %d", promotion.Name, got, item.SKU,
						item.Stock))
				}
			}
		}
	}
	for _, sku := range skus {
		l, err := stock.Get(ctx, p.pool, sku)
		if err != nil {
			return nil, err
		}
		if l.Available+held[sku] != p.added[sku] {
			wrong = append(wrong, fmt.Sprintf("of %d of %s %d are in stock, and promotions hold or sold %d",
				p.added[sku], sku, l.Available, held[sku]))
		}
	}
	return wrong, nil
}

// taken is what one promotion took, returned and sold, by SKU.
type taken struct{ all, returned, sold map[string]int64 }

func (p *place) taken(ctx context.Context, uid string) (t taken, err error) {
	t = taken{map[string]int64{}, map[string]int64{}, map[string]int64{}}
	sum := func(into map[string]int64, list []stock.Quantity, err error) error {
		for _, q := range list {
			into[q.SKU] += q.Quantity
		}
		return err
	}
	allocated, err := stock.Allocated(ctx, p.pool, uid)
	if err = sum(t.all, allocated, err); err != nil {
		return t, err
	}
	topUps, err := stock.TopUps(ctx, p.pool, uid)
	for _, one := range topUps {
		t.all[one.SKU] += one.Quantity
	}
	if err != nil {
		return t, err
	}
	returned, err := stock.Returned(ctx, p.pool, uid)
	if err = sum(t.returned, returned, err); err != nil {
		return t, err
	}
	sold, err := order.SoldInPromotion(ctx, p.pool, uid)
	return t, sum(t.sold, sold, err)
}

// held is what is not in the SKUs' stock because of the promotion.
func (t taken) held() map[string]int64 {
	out := map[string]int64{}
	for sku, n := range t.all {
		out[sku] = n - t.returned[sku]
	}
	return out
}

// unaccounted is what a promotion that is over still has.
func (t taken) unaccounted() map[string]int64 {
	out := map[string]int64{}
	for sku, n := range t.all {
		out[sku] = n - t.returned[sku] - t.sold[sku]
	}
	return out
}

// auditMessaging finds streams and entries of promotions that are no more, or whose log is removed.
func (p *place) auditMessaging(
	ctx context.Context, there map[string]*v1alpha1.PromotionEvent,
) (wrong []string, err error) {
	expected := map[string]bool{}
	for uid, promotion := range there {
		if promotion.Status.LogRemovedTime.IsZero() {
			expected[uid] = true
			for _, name := range sale.StreamNames(uid, promotion.StreamCount()) {
				expected[name] = true
			}
		}
	}
	names := p.js.StreamNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, "PROMO_") && !expected[name] {
			wrong = append(wrong, "stream "+name+" is nobody's")
		}
	}
	if names.Err() != nil {
		return nil, names.Err()
	}
	bucket, err := p.js.KeyValue(ctx, prepare.PromotionsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return wrong, nil
	}
	if err != nil {
		return nil, err
	}
	keys, err := bucket.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, err
	}
	for _, key := range keys {
		if !expected[key] {
			wrong = append(wrong, "pods are told of "+key+", which is nobody's")
		}
	}
	return wrong, nil
}

// left are the resources of a place, and what the operator made or took for them.
func (p *place) left(ctx context.Context) ([]string, error) {
	alive, err := owners(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []string
	for uid := range alive {
		out = append(out, "resource "+string(uid))
	}
	objects, err := owned(ctx, p)
	if err != nil {
		return out, err
	}
	for i := range objects {
		out = append(out, objects[i].GetKind()+" "+objects[i].GetName())
	}
	wrong, err := audit(ctx, p)
	return slices.Concat(out, wrong, p.unneeded(false)), err
}
