// What the page says to people.

import { ConnectError } from "@connectrpc/connect";
import { ViolationsSchema, type Violation } from "@orderd/api/buf/validate/validate_pb";
import { ErrorInfoSchema } from "@orderd/api/google/rpc/error_details_pb";
import { Availability } from "@orderd/api/orderd/catalog/v1/catalog_pb";
import type { Money } from "@orderd/api/orderd/money/v1/money_pb";
import { OrderState, StockShortageSchema, type Order } from "@orderd/api/orderd/order/v1/order_pb";

const refusals: Record<string, string> = {
  CART_EMPTY: "Your cart is empty.",
  ENDED: "The sale is over.",
  ITEM_OFF: "The shop has taken this out of the sale.",
  LIMIT_PER_BUYER: "You have as many of it as one buyer may have in this sale.",
  NOT_STARTED: "The sale has not started yet.",
  PAUSED: "The sale is paused. Please try again later.",
  PRICE_CHANGED: "The price has changed. Please look at the new one.",
  QUOTE_EXPIRED: "That took too long. Please look at the price again.",
  SOLD_OUT: "Sold out. Some may come back while others do not pay.",
  TOKEN_EXPIRED: "Please sign in again.",
  TOO_MANY_UNPAID: "You have not paid for what you ordered before. Please pay for it, or cancel it, first.",
  UNDELIVERABLE: "Nothing is delivered there.",
};

const fieldOf = (violation: Violation) => violation.field?.elements.at(-1)?.fieldName ?? violation.message;

/** An error by its reason; docs/errors.md lists them all. */
export function explain(err: unknown): string {
  const error = ConnectError.from(err);
  const [shortage] = error.findDetails(StockShortageSchema);
  if (shortage) return shortage.lines.map((line) => `You can order ${line.left} of ${line.sku} now.`).join(" ");
  const [wrong] = error.findDetails(ViolationsSchema);
  if (wrong) return `Please look at this again: ${wrong.violations.map(fieldOf).join(", ")}.`;
  const [info] = error.findDetails(ErrorInfoSchema);
  return refusals[info?.reason ?? ""] ?? `That did not work: ${error.rawMessage}.`;
}

/** An amount in the currency's minor unit, as people write it. */
export function price(money: Money | undefined): string {
  if (!money) return "";
  const format = new Intl.NumberFormat("en", { style: "currency", currency: money.currency });
  return format.format(Number(money.amount) / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** Roughly how much there is of something. */
export function inStock(availability: Availability): string {
  switch (availability) {
    case Availability.SOLD_OUT: return "sold out";
    case Availability.FEW: return "only a few left";
    default: return "in stock";
  }
}

/** Milliseconds as hours, minutes and seconds. */
export function clock(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** A state in words, such as "pending payment". */
export const stateOf = (order: Order) => OrderState[order.state].toLowerCase().replaceAll("_", " ");
