// The shop's services as the buyer who is signed in, and how calls are repeated.

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { RetryInfoSchema } from "@orderd/api/google/rpc/error_details_pb";
import { CartService } from "@orderd/api/orderd/cart/v1/cart_pb";
import { CatalogService } from "@orderd/api/orderd/catalog/v1/catalog_pb";
import { FlashService } from "@orderd/api/orderd/flash/v1/flash_pb";
import { OrderService } from "@orderd/api/orderd/order/v1/order_pb";
import { PaymentService } from "@orderd/api/orderd/payment/v1/payment_pb";
import { QuoteService } from "@orderd/api/orderd/quote/v1/quote_pb";

const settings = new URLSearchParams(location.search);
const setting = (name: string, otherwise: string) => settings.get(name) ?? otherwise;

/** The promotion that the page shows. */
export const promotion = setting("sale", "singles-day");

/** Who is signed in. */
export const session = { buyer: "", token: "" };

/** Signs a buyer in at the issuer for development, which believes everybody. A shop has an issuer of its own. */
export async function signIn(buyer: string): Promise<void> {
  const answer = await fetch(`${setting("issuer", "http://127.0.0.1:8082")}/tokens`, {
    method: "POST",
    body: JSON.stringify([{ subject: buyer, roles: ["buyer"] }]),
  });
  if (!answer.ok) throw new Error(`the issuer of tokens answered ${answer.status}`);
  const [token] = (await answer.json()) as string[];
  Object.assign(session, { buyer, token });
}

const bearer: Interceptor = (next) => (request) => {
  request.header.set("Authorization", `Bearer ${session.token}`);
  return next(request);
};
const common = { interceptors: [bearer], defaultTimeoutMs: 10_000 };
const standard = createConnectTransport({ baseUrl: setting("shop", "http://127.0.0.1:8080"), ...common });
// By GET the browser keeps the promotion for as long as the shop says.
const laneURL = setting("flash", "http://127.0.0.1:8081");
const lane = createConnectTransport({ baseUrl: laneURL, useHttpGet: true, ...common });

export const carts = createClient(CartService, standard);
export const catalog = createClient(CatalogService, standard);
export const flash = createClient(FlashService, lane);
export const orders = createClient(OrderService, standard);
export const payments = createClient(PaymentService, standard);
export const quotes = createClient(QuoteService, standard);

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** After these nobody knows whether the call had its effect; Unknown is what a browser makes of no answer at all. */
const open = [Code.Unavailable, Code.DeadlineExceeded, Code.Aborted, Code.Canceled, Code.Internal, Code.Unknown];

/** Repeats a call that may still succeed, after the delay that the shop asks for. */
export async function retried<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (err) {
      const error = ConnectError.from(err);
      const [retry] = error.findDetails(RetryInfoSchema);
      if (attempt === 6 || !(retry || open.includes(error.code))) throw error;
      await pause(retry?.retryDelay ? durationMs(retry.retryDelay) : 100 * 2 ** attempt);
    }
  }
}

/**
 * Makes a call with the request id of what the buyer intends, such as "order" and the quote's token. The id is kept
 * until there is an answer, over a reload of the page too, so that the call has its effect once.
 */
export async function once<T>(intention: string, call: (requestId: string) => Promise<T>): Promise<T> {
  const key = `${session.buyer}: ${intention}`;
  const requestId = localStorage.getItem(key) ?? crypto.randomUUID();
  localStorage.setItem(key, requestId);
  try {
    const answer = await retried(() => call(requestId));
    localStorage.removeItem(key);
    return answer;
  } catch (err) {
    if (!open.includes(ConnectError.from(err).code)) localStorage.removeItem(key);
    throw err;
  }
}
