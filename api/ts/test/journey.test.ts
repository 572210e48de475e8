// An app's journey against a running orderd. test/integration/docs starts one and sets the environment.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";

import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { CatalogService } from "../gen/orderd/catalog/v1/catalog_pb.js";
import { OrderService, OrderState, RefundStatus, StockShortageSchema } from "../gen/orderd/order/v1/order_pb.js";
import { PaymentService, PaymentState } from "../gen/orderd/payment/v1/payment_pb.js";
import { QuoteSchema, QuoteService } from "../gen/orderd/quote/v1/quote_pb.js";

const patience = 30_000;

function environment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} has to be set`);
  return value;
}

function bearer(token: () => string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${token()}`);
    return next(request);
  };
}

function transport(token: string) {
  return createConnectTransport({ httpVersion: "1.1", baseUrl: environment("ORDERD_URL"), interceptors: [bearer(() => token)] });
}

function errorInfo(error: unknown) {
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  return info;
}

async function refusal(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof ConnectError);
    return error;
  }
  throw new assert.AssertionError({ message: "the call was not refused" });
}

const buyer = transport(environment("ORDERD_BUYER_TOKEN"));
const staff = transport(environment("ORDERD_STAFF_TOKEN"));
const orders = createClient(OrderService, buyer);
const payments = createClient(PaymentService, buyer);
const quotes = createClient(QuoteService, buyer);
const catalog = createClient(CatalogService, staff);

async function until(orderId: string, holds: (order: NonNullable<Awaited<ReturnType<typeof orders.getOrder>>["order"]>) => boolean) {
  for (const end = Date.now() + patience; ; ) {
    const { order } = await orders.getOrder({ orderId });
    assert.ok(order);
    if (holds(order)) return order;
    assert.ok(Date.now() < end, `order ${orderId} is still ${OrderState[order.state]}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function sell(price: bigint) {
  await catalog.upsertSku({
    requestId: randomUUID(),
    sku: { sku: "ts-tea", title: "Green tea", price: { amount: price, currency: "EUR" }, onSale: true },
  });
}

before(async () => {
  await sell(1999n);
  await catalog.adjustStock({ requestId: randomUUID(), sku: "ts-tea", delta: 10n });
});

test("an order is quoted, placed, paid, cancelled and refunded", async () => {
  const { quote } = await quotes.quoteOrder({ lines: [{ sku: "ts-tea", quantity: 2n }] });
  assert.equal(quote?.total?.amount, 3998n);

  const request = { requestId: randomUUID(), quoteToken: quote.token };
  const { order: placed } = await orders.placeOrder(request);
  assert.equal(placed?.state, OrderState.PENDING_PAYMENT);
  const { order: again } = await orders.placeOrder(request);
  assert.equal(again?.orderId, placed.orderId, "a retry gets the same order");

  const { payment, redirectUrl } = await payments.createPayment({ requestId: randomUUID(), orderId: placed.orderId, provider: "sandbox" });
  assert.equal(payment?.state, PaymentState.PENDING);
  assert.ok((await fetch(redirectUrl, { method: "POST" })).ok, "the sandbox pays");
  const paid = await until(placed.orderId, (order) => order.state === OrderState.PAID);
  assert.equal(paid.total?.amount, 3998n);

  const { order: cancelled } = await orders.cancelOrder({ requestId: randomUUID(), orderId: placed.orderId });
  assert.equal(cancelled?.state, OrderState.CANCELLED);
  await until(placed.orderId, (order) => order.refundStatus === RefundStatus.REFUNDED);
});

test("refusals carry a reason and details", async () => {
  const unknown = await refusal(orders.getOrder({ orderId: randomUUID() }));
  assert.equal(unknown.code, Code.NotFound);
  assert.equal(errorInfo(unknown)?.reason, "ORDER_NOT_FOUND");
  assert.equal(errorInfo(unknown)?.domain, "orderd.dev");

  const short = await refusal(orders.placeOrder({ requestId: randomUUID(), lines: [{ sku: "ts-tea", quantity: 150n }] }));
  assert.equal(errorInfo(short)?.reason, "INSUFFICIENT_STOCK");
  const [shortage] = short.findDetails(StockShortageSchema);
  assert.deepEqual(shortage?.lines.map(({ sku, wanted }) => ({ sku, wanted })), [{ sku: "ts-tea", wanted: 150n }]);

  const requestId = randomUUID();
  await orders.placeOrder({ requestId, lines: [{ sku: "ts-tea", quantity: 1n }] });
  const reused = await refusal(orders.placeOrder({ requestId, lines: [{ sku: "ts-tea", quantity: 2n }] }));
  assert.equal(reused.code, Code.AlreadyExists);
  assert.equal(errorInfo(reused)?.reason, "REQUEST_ID_REUSED");
});

test("a price that changed comes with the new quote", async () => {
  const { quote } = await quotes.quoteOrder({ lines: [{ sku: "ts-tea", quantity: 1n }] });
  await sell(2099n);
  const changed = await refusal(orders.placeOrder({ requestId: randomUUID(), quoteToken: quote?.token }));
  assert.equal(errorInfo(changed)?.reason, "PRICE_CHANGED");
  const [fresh] = changed.findDetails(QuoteSchema);
  assert.equal(fresh?.total?.amount, 2099n);
  const { order } = await orders.placeOrder({ requestId: randomUUID(), quoteToken: fresh.token });
  assert.equal(order?.total?.amount, 2099n);
});
