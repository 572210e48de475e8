// A buyer at the page, in a browser. test/integration/samples starts a shop and sets the environment.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

function environment(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} has to be set`);
  return value;
}

const patience = 120_000;
const complaints = [];
let browser;
let page;

const press = (name) => page.getByRole("button", { name, exact: true }).click();
const shows = (role, text) => page.getByRole(role).filter({ hasText: text }).waitFor();
const order = (text) => page.locator("#order").filter({ hasText: text }).waitFor();

async function signIn() {
  await page.getByLabel("Your name").fill("alice");
  await press("Sign in");
  await shows("status", "Signed in as alice.");
}

/** What the browser sends to an RPC, as it sends it. */
const sent = (rpc) => page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith(rpc));

before(async () => {
  browser = await chromium.launch({ executablePath: environment("BROWSER") });
  page = await browser.newPage();
  page.setDefaultTimeout(patience);
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(environment("PAGE"));
  await signIn();
});

after(() => browser?.close());

test("goods go into the cart, are quoted, ordered and paid", async () => {
  await shows("listitem", /Green tea, CN¥19\.99, in stock/);
  await press("Add Green tea to the cart");
  await page.getByLabel("Quantity of Green tea").fill("2");
  await page.getByLabel("Quantity of Green tea").press("Tab");
  await press("Show what it costs");
  await page.getByText("Goods CN¥39.98, freight CN¥0.00, together CN¥39.98.").waitFor();
  const methods = await page.getByLabel("Delivery").locator("option").allTextContents();
  assert.deepEqual(methods, ["Standard delivery, CN¥0.00"]);

  // The answer is lost, and the buyer reloads the page: the order is the same.
  const lost = new Promise((resolve) => {
    void page.route("**/PlaceOrder", async (route) => resolve(await route.fetch()), { times: 1 });
  });
  const first = sent("/PlaceOrder");
  await press("Place the order");
  const { requestId } = (await first).postDataJSON();
  const placed = (await (await lost).json()).order;
  await page.reload();
  await signIn();
  const second = sent("/PlaceOrder");
  await press("Place the order");
  assert.equal((await second).postDataJSON().requestId, requestId);
  await order(`Order ${placed.orderId}, CN¥39.98: pending payment.`);
  assert.equal(await page.getByLabel("Quantity of Green tea").count(), 0, "what is ordered has left the cart");

  await press("Pay CN¥39.98");
  await order(`Order ${placed.orderId}, CN¥39.98: paid.`);
});

test("a refusal is said in plain words", async () => {
  await press("Show what it costs");
  await shows("alert", "Your cart is empty.");
  await press("Add Green tea to the cart");
  await page.getByLabel("Phone").fill("call me");
  await press("Show what it costs");
  await shows("alert", "Please look at this again: phone.");
  await press("Remove Green tea");
  await page.getByLabel("Phone").fill("+86 10 1234 5678");
});

test("the sale is counted down to, sells, and keeps to its limit", async () => {
  const buy = page.getByRole("button", { name: "Buy Phone X in the sale" });
  await shows("timer", /It starts in \d\d:\d\d:\d\d\./);
  assert.ok(await buy.isDisabled(), "nothing is sold before the start");
  const manifest = environment("SALE");
  const soon = new Date(Date.now() + 5_000).toISOString().replace(/\.\d+Z/, "Z");
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace(/startTime: ".*"/, `startTime: "${soon}"`));

  const request = sent("/PlaceFlashOrder");
  await buy.click();
  assert.match((await request).headers()["orderd-route"], /^singles-day\//);
  await shows("status", "Phone X is yours, once it is paid.");
  await press("Pay CN¥1,999.00");
  await order("CN¥1,999.00: paid.");

  await buy.click();
  await shows("alert", "You have as many of it as one buyer may have in this sale.");
  assert.deepEqual(complaints, []);
});
