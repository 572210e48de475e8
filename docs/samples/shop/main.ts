// The page: it signs in, and then shows goods, cart, quote and order, and the sale.

import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ROUTE_HEADER, routeOf } from "@orderd/api/flash/route";
import type { GetPromotionResponse, PromotionItem } from "@orderd/api/orderd/flash/v1/flash_pb";
import { OrderState, type Order } from "@orderd/api/orderd/order/v1/order_pb";
import { QuoteSchema, type Quote } from "@orderd/api/orderd/quote/v1/quote_pb";
import {
  carts, catalog, flash, once, orders, pause, payments, promotion, quotes, retried, session, signIn,
} from "./shop.js";
import { clock, explain, inStock, price, stateOf } from "./words.js";

const at = (id: string) => document.getElementById(id)!;
const form = (id: string) => at(id) as HTMLFormElement;
const say = (text: string) => (at("status").textContent = text);

/** An element with its properties and what is in it. */
function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, properties: Partial<HTMLElementTagNameMap[K]>, ...inside: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
}

/** Does something for the buyer, and says in plain words if it fails. */
async function attempt(action: () => Promise<unknown>): Promise<void> {
  at("error").textContent = "";
  try {
    await action();
  } catch (err) {
    at("error").textContent = explain(err);
  }
}

function button(text: string, press: () => Promise<unknown>): HTMLButtonElement {
  return make("button", { type: "button", textContent: text, onclick: () => void attempt(press) });
}

function onSubmit(id: string, action: () => Promise<unknown>): void {
  form(id).addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(action);
  });
}

/** What SKUs are called. */
const titles = new Map<string, string>();

async function showGoods(): Promise<void> {
  const { skus } = await retried(() => catalog.listSkus({ onSaleOnly: true }));
  const goods = await Promise.all(skus.map(({ sku }) => retried(() => catalog.getSku({ sku }))));
  at("goods").replaceChildren(...goods.map(({ sku, availability }) => {
    const { sku: code, title } = sku!;
    titles.set(code, title);
    return make("li", {},
      make("span", {}, `${title}, ${price(sku!.price)}, ${inStock(availability)}`),
      button(`Add ${title} to the cart`, () => inTurn(() => addToCart(code))));
  }));
}

let turn: Promise<void> = Promise.resolve();

/** Changes of the cart and questions about it go one after the other, as the buyer asked for them. */
function inTurn(action: () => Promise<unknown>): Promise<unknown> {
  const done = turn.then(action);
  turn = done.then(() => undefined, () => undefined);
  return done;
}

async function addToCart(sku: string): Promise<void> {
  await once(`add ${sku}`, (requestId) => carts.addCartLine({ requestId, sku, quantity: 1n }));
  await showCart();
}

async function changeCart(sku: string, quantity: bigint): Promise<void> {
  showQuote(undefined);
  const requestId = crypto.randomUUID();
  await retried(() => carts.changeCartLine({ requestId, sku, quantity }));
}

async function removeFromCart(sku: string): Promise<void> {
  const requestId = crypto.randomUUID();
  await retried(() => carts.removeCartLines({ requestId, skus: [sku] }));
  await showCart();
}

async function showCart(): Promise<void> {
  const { lines } = await retried(() => carts.getCart({}));
  showQuote(undefined);
  at("cart").replaceChildren(...lines.map(({ item, title, price: unit }) => {
    const { sku, quantity } = item!;
    const input = make("input", { type: "number", min: "1", max: "9999", value: String(quantity) });
    input.onchange = () => void attempt(() => inTurn(() => changeCart(sku, BigInt(input.value))));
    return make("li", {},
      make("span", {}, `${title}, ${price(unit)}`), make("label", {}, `Quantity of ${title} `, input),
      button(`Remove ${title}`, () => inTurn(() => removeFromCart(sku))));
  }));
}

/** The delivery that the form describes, by a method of the quote's or the shop's first. */
function delivery(method = "") {
  const fields = new FormData(form("address"));
  const text = (name: string) => String(fields.get(name) ?? "");
  const [recipient, phone, country] = [text("recipient"), text("phone"), text("country")];
  return { address: { recipient, phone, country, city: text("city"), street: text("street") }, method };
}

async function ask(method?: string): Promise<void> {
  const { quote } = await retried(() => quotes.quoteOrder({ delivery: delivery(method) }));
  showQuote(quote);
}

/** Shows what an order would cost. The quote outlives a reload, and with it the request id of its order. */
function showQuote(quote: Quote | undefined): void {
  if (!quote) {
    sessionStorage.removeItem("quote");
    at("quote").replaceChildren();
    return;
  }
  sessionStorage.setItem("quote", toJsonString(QuoteSchema, quote));
  const methods = make("select", { onchange: () => void attempt(() => inTurn(() => ask(methods.value))) });
  for (const { method, title, freight } of quote.deliveries) {
    methods.append(make("option", { value: method, textContent: `${title}, ${price(freight)}` }));
  }
  methods.value = quote.deliveryMethod;
  at("quote").replaceChildren(
    make("label", {}, "Delivery ", methods),
    make("p", {}, `Goods ${price(quote.goods)}, freight ${price(quote.freight)}, together ${price(quote.total)}.`),
    button("Place the order", () => place(quote)));
}

async function place(quote: Quote): Promise<void> {
  try {
    const { order } = await once(`order ${quote.token}`, (requestId) =>
      orders.placeOrder({ requestId, quoteToken: quote.token }));
    showOrder(order!);
    await showCart();
  } catch (err) {
    // If the price has changed, the new quote comes with the refusal.
    const [fresh] = ConnectError.from(err).findDetails(QuoteSchema);
    if (fresh) showQuote(fresh);
    throw err;
  }
}

function showOrder(order: Order): void {
  const text = `Order ${order.orderId}, ${price(order.total)}: ${stateOf(order)}. `;
  if (at("order").firstChild?.textContent === text) return;
  at("order").replaceChildren(text);
  if (order.state === OrderState.PENDING_PAYMENT) {
    at("order").append(button(`Pay ${price(order.total)}`, () => pay(order)));
  }
}

/** Shows an order again and again while it is in a state. */
async function follow(orderId: string, during: OrderState): Promise<void> {
  for (;;) {
    const { order } = await retried(() => orders.getOrder({ orderId }));
    showOrder(order!);
    if (order!.state !== during) return;
    await pause(300);
  }
}

async function pay({ orderId }: Order): Promise<void> {
  const { redirectUrl } = await once(`pay ${orderId}`, (requestId) =>
    payments.createPayment({ requestId, orderId, provider: "sandbox" }));
  // A page of a real provider would be opened now. The sandbox's has one button, which a POST presses.
  const page = await fetch(redirectUrl, { method: "POST" });
  if (!page.ok) throw new Error(`the sandbox answered ${page.status}`);
  // Only the order says that it is paid.
  await follow(orderId, OrderState.PENDING_PAYMENT);
}

/** Shows the sale, once a second; a cache has most of the answers. */
async function followSale(): Promise<void> {
  for (;;) {
    try {
      showSale(await flash.getPromotion({ promotion }));
    } catch (err) {
      const none = ConnectError.from(err).code === Code.NotFound;
      at("countdown").textContent = none ? "No sale is announced." : "The sale cannot be seen now.";
    }
    await pause(1000);
  }
}

function showSale(sale: GetPromotionResponse): void {
  const [now, start, end] = [Date.now(), timestampMs(sale.startTime!), timestampMs(sale.endTime!)];
  at("countdown").textContent = now < start ? `It starts in ${clock(start - now)}.`
    : now < end ? `It is on, for another ${clock(end - now)}.` : "It is over.";
  for (const item of sale.items) {
    const offer = document.getElementById(`offer-${item.sku}`) ?? addOffer(item);
    offer.querySelector("button")!.disabled = now < start || now >= end || sale.paused || item.off;
    offer.querySelector("small")!.textContent = item.soldOut ? "none left at the moment" : "";
  }
}

function addOffer(item: PromotionItem): HTMLElement {
  const title = titles.get(item.sku) ?? item.sku;
  const limit = item.limitPerBuyer > 0n ? `, at most ${item.limitPerBuyer} a buyer` : "";
  const offer = make("li", { id: `offer-${item.sku}` },
    make("span", {}, `${title}, ${price(item.price)}${limit}`), make("small", {}),
    button(`Buy ${title} in the sale`, () => buy(item.sku)));
  at("offers").append(offer);
  return offer;
}

async function buy(sku: string): Promise<void> {
  // It leads to the pod that decides; without it the order arrives as well.
  const route = routeOf(await flash.getPromotion({ promotion }), session.buyer, sku);
  const headers: Record<string, string> = route ? { [ROUTE_HEADER]: route } : {};
  const { orderId } = await once(`buy ${sku} in ${promotion}`, (requestId) =>
    flash.placeFlashOrder({ promotion, requestId, items: [{ sku, quantity: 1n }] }, { headers }));
  say(`${titles.get(sku) ?? sku} is yours, once it is paid.`);
  // Taken for good; it can be paid and delivered once it is in the database.
  await follow(orderId, OrderState.ACCEPTED);
  await once(`deliver ${orderId}`, (requestId) => orders.setDelivery({ requestId, orderId, delivery: delivery() }));
}

onSubmit("sign-in", async () => {
  const buyer = String(new FormData(form("sign-in")).get("buyer"));
  const first = session.buyer === "";
  const kept = sessionStorage.getItem("quote");
  await signIn(buyer);
  say(`Signed in as ${buyer}.`);
  document.querySelector("main")!.hidden = false;
  await showGoods();
  await showCart();
  if (first && kept) showQuote(fromJsonString(QuoteSchema, kept));
  if (first) void followSale();
});
onSubmit("address", () => inTurn(() => ask()));
