// Where a gateway has to send a buyer's flash orders: docs/flash-gateway.md.

import type { GetPromotionResponse } from "../gen/orderd/flash/v1/flash_pb.js";

/** The request header that the gateway hashes. */
export const ROUTE_HEADER = "Orderd-Route";

/**
 * The value of ROUTE_HEADER for a buyer's order of an item, by the promotion as GetPromotion answered it; undefined if the
 * promotion does not have the item. A route that is out of date costs a hop between pods and nothing else.
 */
export function routeOf(promotion: GetPromotionResponse, buyerId: string, sku: string): string | undefined {
  const item = promotion.items.find((i) => i.sku === sku);
  if (item === undefined || promotion.partitions < 1) {
    return undefined;
  }
  return promotion.routes[item.firstPartition + partitionOf(buyerId, promotion.partitions)];
}

const MASK = (1n << 64n) - 1n;
const FNV_PRIME = 1099511628211n;

/** A buyer's partition among count: FNV-1a in 64 bits of the id's UTF-8 and a zero byte, then MurmurHash3's mixer, modulo count. */
export function partitionOf(buyerId: string, count: number): number {
  let h = 14695981039346656037n;
  for (const byte of new TextEncoder().encode(buyerId)) {
    h = ((h ^ BigInt(byte)) * FNV_PRIME) & MASK;
  }
  h = (h * FNV_PRIME) & MASK;
  h ^= h >> 33n;
  h = (h * 0xff51afd7ed558ccdn) & MASK;
  h ^= h >> 33n;
  h = (h * 0xc4ceb9fe1a85ec53n) & MASK;
  h ^= h >> 33n;
  return Number(h % BigInt(count));
}
