// The pages of location in Chromium: how they look, who can use them, and that nothing hostile in them runs.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessibility, eventually, keep, launch, open, overflow, put, screens } from "./browser.js";
import { hostile, hostileCard, models } from "./samples.js";

let browser;

before(async () => {
  browser = await launch();
  for (const { key, catalog, card } of models) await put(key, catalog, card);
  await put("hostile_v1", hostile, hostileCard);
});

after(() => browser?.close());

const pages = [
  ["models", "/"],
  ["filtered", "/?q=model&tag=chat&owner=ai-platform"],
  ["nothing", "/?q=no+model+is+like+this"],
  ["model", "/ui/model?key=granite_v1"],
  ["hostile", "/ui/model?key=hostile_v1"],
  ["no-model", "/ui/model?key=none_v1"],
  ["sources", "/ui/sources"],
];

for (const screen of screens) {
  for (const [name, path] of pages) {
    test(`${name} on ${screen.name} is accessible, fits, and asks nobody else`, async () => {
      const { page, context, wrong } = await open(browser, path, screen);
      // What is folded up counts, too.
      if (name === "model") await page.locator("summary").first().click();
      await keep(page, `${name}-${screen.name}`);
      assert.deepEqual(await accessibility(page), []);
      assert.ok((await overflow(page)) <= 0, "it is wider than the screen");
      assert.deepEqual(wrong, []);
      await context.close();
    });
  }
}

test("nothing that a model or its card says runs, leads astray, or turns around what is beside it", async () => {
  for (const path of ["/", "/?q=alert", "/ui/model?key=hostile_v1"]) {
    const { page, context, wrong } = await open(browser, path);
    await page.waitForLoadState("networkidle");
    assert.equal(await page.evaluate(() => globalThis.pwned), undefined, path);
    const found = await page.evaluate(() => {
      const all = [...document.querySelectorAll("*")];
      const handlers = all.flatMap((element) => [...element.attributes].filter(({ name }) => name.startsWith("on")));
      const addresses = [...document.querySelectorAll("[href]")].map((element) => new URL(element.href).protocol);
      return {
        handlers: handlers.map(({ name }) => name),
        protocols: [...new Set(addresses)].sort(),
        scripts: document.querySelectorAll("script").length,
        foreign: document.querySelectorAll("img, svg, iframe, form:not(#filters), object, embed, style, base, math").length,
        inline: document.querySelectorAll("[style]").length,
      };
    });
    assert.deepEqual({ ...found, protocols: undefined }, { handlers: [], protocols: undefined, scripts: 1, foreign: 0, inline: 0 });
    assert.ok(found.protocols.every((protocol) => ["http:", "https:", "mailto:"].includes(protocol)), found.protocols.join());
    // Links of others open nothing that could reach back.
    const rels = await page.locator("a[href^='https://evil']").evaluateAll((links) => links.map(({ rel }) => rel));
    assert.ok(rels.every((rel) => rel.includes("noopener") && rel.includes("nofollow")), rels.join());
    assert.deepEqual(wrong, []);
    await context.close();
  }
});

test("even if a script got into a page, it would not run", async () => {
  const { page, context, wrong } = await open(browser, "/");
  const failed = [];
  page.on("requestfailed", (request) => failed.push(`${request.url()} ${request.failure().errorText}`));
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.pwned = 1";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", "<img src='https://evil.example.com/x' onerror='globalThis.pwned = 2'>");
  });
  await eventually("the browser refuses", async () => wrong.filter((text) => text.includes("Content Security Policy")).length >= 2);
  assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
  assert.deepEqual(failed, ["https://evil.example.com/x csp"]);
  await context.close();
});

test("the page is used by keyboard alone", async () => {
  const { page, context } = await open(browser, "/", screens[0]);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q", "after the navigation comes the search");
  await page.keyboard.type("granite");
  await page.keyboard.press("Enter");
  await page.waitForURL(/[?&]q=granite/);
  const card = page.locator(".card h2 a", { hasText: "granite" });
  assert.equal(await page.locator(".card").count(), 1);
  for (let presses = 0; presses < 30; presses += 1) {
    await page.keyboard.press("Tab");
    if (await card.evaluate((link) => link === document.activeElement)) break;
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/ui\/model\?key=granite_v1/);
  const outline = await page.locator(".brand").evaluate((link) => {
    link.focus();
    return getComputedStyle(link).outlineStyle;
  });
  assert.equal(outline, "solid", "it is seen where the keyboard is");
  await context.close();
});

test("filters narrow the list, stand in its address, and can be taken back", async () => {
  const { page, context } = await open(browser, "/", screens[0]);
  const all = await page.locator(".card").count();
  await page.getByLabel("Owner").selectOption("agents-team");
  await page.getByLabel("Serving").selectOption("yes");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(/owner=agents-team/);
  const narrowed = await page.locator(".card").count();
  assert.ok(narrowed > 0 && narrowed < all, `${narrowed} of ${all}`);
  const again = await context.newPage();
  await again.goto(page.url());
  assert.equal(await again.locator(".card").count(), narrowed, "whoever is given the address sees the same");
  await page.getByRole("link", { name: /Remove filter Owner/ }).click();
  await page.getByRole("link", { name: /Remove filter Serving/ }).click();
  await eventually("all are shown again", async () => (await page.locator(".card").count()) === all);
  await context.close();
});

test("without JavaScript everything is there", async () => {
  const { page, context } = await open(browser, "/?q=granite", { ...screens[0], javaScriptEnabled: false });
  await page.locator(".card h2 a").click();
  await page.waitForURL(/\/ui\/model/);
  assert.match(await page.locator("h1").innerText(), /granite/);
  await page.getByRole("link", { name: "Sources" }).click();
  assert.match(await page.locator("h1").innerText(), /Sources/);
  await context.close();
});

test("a new model appears on an open page, and nobody loses their place", async () => {
  const { page, context, wrong } = await open(browser, "/", screens[0]);
  await page.evaluate(() => (globalThis.same = true));
  const first = page.locator(".card h2 a").first();
  await first.focus();
  const { catalog } = models[0];
  const name = "aardvark-1";
  const fresh = structuredClone(catalog);
  fresh.models[0].name = name;
  fresh.models[0].annotations["rhdh.modelcatalog.io/model-name"] = name;
  const focused = await first.getAttribute("href");
  await put("aardvark_v1", fresh);
  await page.getByRole("link", { name }).waitFor();
  assert.equal(await page.evaluate(() => globalThis.same), true, "it was not loaded again");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), focused);
  assert.match(await page.locator("#announcement").innerText(), /models/, "a screen reader says so");

  await page.getByLabel("Search").fill("half a wo");
  fresh.models[0].description = "Changed meanwhile.";
  await put("aardvark_v1", fresh);
  await page.getByText("Changed meanwhile.").waitFor();
  assert.equal(await page.getByLabel("Search").inputValue(), "half a wo");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("what was opened on a model's page stays open when it changes", async () => {
  const { page, context } = await open(browser, "/ui/model?key=zebra_v1", screens[0]);
  assert.match(await page.locator("h1").innerText(), /no such model/);
  const { catalog } = models[0];
  const zebra = structuredClone(catalog);
  zebra.models[0].annotations["rhdh.modelcatalog.io/model-name"] = "zebra";
  await put("zebra_v1", zebra);
  await page.locator("h1", { hasText: "zebra" }).waitFor();
  await page.getByText("As Backstage reads it").click();
  assert.ok(await page.locator("#raw pre").isVisible());
  zebra.models[0].description = "Another stripe.";
  await put("zebra_v1", zebra);
  await page.locator(".lead", { hasText: "Another stripe." }).waitFor();
  assert.ok(await page.locator("#raw pre").isVisible());
  await context.close();
});
