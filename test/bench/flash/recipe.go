package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// script is the usual recipe: it answers a request that it knows, checks the buyer's limit and the
// stock, takes from both and adds the order to a stream. KEYS: stock, units by buyer, order ids by
// request, orders. ARGV: request, buyer, quantity, limit, order id, SKU.
const script = `
local known = redis.call('HGET', KEYS[3], ARGV[1])
if known then return known end
local quantity = tonumber(ARGV[3])
if tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or '0') + quantity > tonumber(ARGV[4]) then return 'LIMIT' end
if tonumber(redis.call('GET', KEYS[1]) or '0') < quantity then return 'SOLD_OUT' end
redis.call('DECRBY', KEYS[1], quantity)
redis.call('HINCRBY', KEYS[2], ARGV[2], quantity)
redis.call('HSET', KEYS[3], ARGV[1], ARGV[5])
redis.call('XADD', KEYS[4], '*', 'order', ARGV[5], 'buyer', ARGV[2], 'request', ARGV[1],
  'sku', ARGV[6], 'quantity', ARGV[3])
return ARGV[5]`

const (
	// lanes carry calls to Redis, each a pipeline after the other: what comes while one is on its
	// way goes with the next. That is quicker than a connection a call, as is usual, and shares an
	// fsync between more orders.
	lanes = 2
	// lanePipeline is the most calls of a pipeline, laneQueue how many wait for a lane.
	lanePipeline = 512
	laneQueue    = 8192
)

// recipe is the usual recipe behind the flash lane's RPC.
type recipe struct {
	flashv1connect.UnimplementedFlashServiceHandler

	client *redis.Client
	sha    string
	queue  chan *recipeCall
}

type recipeCall struct {
	request *flashv1.PlaceFlashOrderRequest
	id      string
	// answer is what the script returned.
	answer string
	err    error
	done   chan struct{}
}

func newRecipe(ctx context.Context, address string) (*recipe, error) {
	r := &recipe{
		client: redis.NewClient(&redis.Options{Addr: address, PoolSize: lanes + 1, DisableIdentity: true}),
		queue:  make(chan *recipeCall, laneQueue),
	}
	var err error
	if r.sha, err = r.client.ScriptLoad(ctx, script).Result(); err != nil {
		return nil, fmt.Errorf("loading the script: %w", err)
	}
	for range lanes {
		go r.lane(ctx)
	}
	return r, nil
}

func (r *recipe) lane(ctx context.Context) {
	calls := make([]*recipeCall, 0, lanePipeline)
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-r.queue:
			calls = append(calls[:0], c)
		}
	gather:
		for len(calls) < lanePipeline {
			select {
			case c := <-r.queue:
				calls = append(calls, c)
			default:
				break gather
			}
		}
		r.send(ctx, calls)
	}
}

func (r *recipe) send(ctx context.Context, calls []*recipeCall) {
	pipeline := r.client.Pipeline()
	answers := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		item, buyer, promotion := c.request.GetItems()[0], c.request.GetBuyerId(), c.request.GetPromotion()
		answers[i] = pipeline.EvalSha(ctx, r.sha, redisKeys(promotion, item.GetSku()),
			buyer+"/"+c.request.GetRequestId(), buyer, item.GetQuantity(), limitPerBuyer, c.id, item.GetSku())
	}
	_, _ = pipeline.Exec(ctx) // Each answer has its own error.
	for i, c := range calls {
		c.answer, c.err = answers[i].Text()
		close(c.done)
	}
}

func redisKeys(promotion, sku string) []string {
	return []string{
		promotion + ":stock:" + sku,
		promotion + ":buyers:" + sku,
		promotion + ":requests",
		promotion + ":orders",
	}
}

// PlaceFlashOrder implements FlashService.
func (r *recipe) PlaceFlashOrder(
	ctx context.Context, request *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	c := &recipeCall{request: request, id: id.String(), done: make(chan struct{})}
	select {
	case r.queue <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case c.err != nil:
		return nil, c.err
	case c.answer == "LIMIT":
		return nil, refusal.LimitPerBuyer(request.GetItems()[0].GetSku())
	case c.answer == "SOLD_OUT":
		return nil, refusal.SoldOut(request.GetItems()[0].GetSku(), 0)
	}
	if id, err = uuid.Parse(c.answer); err != nil {
		return nil, err
	}
	return accepted(id), nil
}
