// Chromium, as the tests of all pages use it.
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(join(here, "../node_modules/axe-core/axe.min.js"), "utf8");

export const location = required("LOCATION_URL");
export const storage = required("STORAGE_URL");
const screenshots = required("SCREENSHOTS");

// What the pages are looked at with.
export const screens = [
  { name: "desktop-light", viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  { name: "desktop-dark", viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  { name: "phone-light", viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true },
  { name: "phone-dark", viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true },
];

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these tests are run by cargo test -p system-tests --test browser`);
  return value;
}

// A browser with a new profile of its own, which asks nobody but the pages for anything.
export function launch() {
  return chromium.launch({
    executablePath: required("CHROMIUM"),
    chromiumSandbox: false,
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

// A page that notes what no page of ours may do: log an error, ask another host, or show a dialog.
export async function open(browser, path, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // Of a page that is not there the browser says so itself.
    if (message.type() === "error" && !message.text().includes("404")) wrong.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${location}/`)) wrong.push(`request: ${request.url().slice(0, 200)}`);
  });
  await page.goto(`${location}${path}`);
  return { page, context, wrong };
}

// What axe finds wrong, in short. It runs in the page by the debugger's way, which the page's policy has no say in.
export async function accessibility(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

// Whether anything is wider than the screen.
export function overflow(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
}

export async function keep(page, name) {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

// Has an entry served. Storage takes it from this machine without a token.
export async function put(key, catalog, card = "") {
  const body = Buffer.from(JSON.stringify(catalog)).toString("base64");
  const message = { body, lastUpdateTimeSinceEpoch: "1", modelCardKey: card && `card of ${key}`, modelCard: card };
  const answer = await fetch(`${storage}/upsert?key=${key}&type=kubeflow`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(message),
  });
  if (!answer.ok) throw new Error(`storage refuses ${key}: ${answer.status} ${await answer.text()}`);
  const uri = `${location}/${key.replace("_", "/")}/model-catalog.json`;
  await eventually(`${key} is served`, async () => {
    const served = await fetch(uri);
    return served.ok && Buffer.from(await served.arrayBuffer()).equals(Buffer.from(body, "base64"));
  });
}

export async function eventually(what, condition, patience = 30_000) {
  const end = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`this did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
