import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { partitionOf, routeOf } from "../flash/route.js";
import { GetPromotionResponseSchema } from "../gen/orderd/flash/v1/flash_pb.js";

// The same as in orderd/flash/partition/hash_test.go.
test("a buyer's partition is what the pods say", () => {
  const vectors: [string, number, number][] = [["alice", 35, 5], ["bob", 10, 5], ["buyer-00042", 14, 6], ["购买者", 6, 6]];
  for (const [buyer, of64, of7] of vectors) {
    assert.equal(partitionOf(buyer, 64), of64, buyer);
    assert.equal(partitionOf(buyer, 7), of7, buyer);
  }
});

test("a route is the one of the partition that sells the item", () => {
  const promotion = create(GetPromotionResponseSchema, {
    partitions: 2,
    items: [{ sku: "a", firstPartition: 0 }, { sku: "b", firstPartition: 2 }],
    routes: ["sale/0/0", "sale/1/0", "sale/2/1", "sale/3/0"],
  });
  assert.equal(routeOf(promotion, "alice", "a"), promotion.routes[partitionOf("alice", 2)]);
  assert.equal(routeOf(promotion, "alice", "b"), promotion.routes[2 + partitionOf("alice", 2)]);
  assert.equal(routeOf(promotion, "alice", "c"), undefined);
});
