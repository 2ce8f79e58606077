// Opens a report in a headless Chromium and checks what a reader relies on: see README.md.
import { readFileSync, realpathSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import * as inPage from "./page.mjs";

const MAX_BYTES = 2_000_000;
const WIDTHS = [380, 1400];
const SCHEMES = ["light", "dark"];
const HEIGHT = 900;
const PIECE = 2000;
/** A page may grow while it is scrolled; this is where to stop. */
const MAX_SCREENS = 1000;
/** For all that is done in one view: a page can keep a browser busy for ever. */
const VIEW_LIMIT_MS = 120_000;
/** A4 less margins of 1 cm, in CSS pixels. */
const PAPER_WIDTH = 718;
const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Findings, each with the views it was made in and the places it was made at: one in four views is one finding. */
class Findings {
  #all = new Map();

  add(view, text, places = []) {
    if (!this.#all.has(text)) this.#all.set(text, { views: new Set(), places: new Set() });
    const finding = this.#all.get(text);
    finding.views.add(view);
    for (const place of places) finding.places.add(place);
  }

  lines() {
    return [...this.#all].map(([text, { views, places }]) => {
      const first = [...places].slice(0, 5).map((place) => `\n      ${place}`);
      const rest = places.size > 5 ? `\n      and ${places.size - 5} more places` : "";
      return `${text} [${[...views].join(", ")}]${first.join("")}${rest}`;
    });
  }
}

/**
 * Checks the report at `path`; with `shots`, leaves pictures in that folder.
 * Returns what fails, what a person should look at, and a line for each view.
 */
export async function check(path, shots) {
  const { size } = await stat(path);
  // The true path, because that is the address the browser gives to the page.
  const run = {
    url: pathToFileURL(realpathSync(path)).href,
    shots,
    failures: new Findings(),
    notes: new Findings(),
    lines: [],
  };
  if (shots) await mkdir(shots, { recursive: true });
  if (size >= MAX_BYTES) run.failures.add("file", `${size} bytes, the limit is ${MAX_BYTES}`);

  run.browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Chromium's sandbox does not start as root, which is who one is in many containers.
    chromiumSandbox: process.getuid?.() !== 0,
  });
  try {
    await checkWithoutScripts(run);
    await checkWithoutPolicy(run);
    for (const width of WIDTHS) await checkViews(run, width);
    await checkPrint(run);
  } finally {
    await run.browser.close();
  }
  return { size, failures: run.failures.lines(), notes: run.notes.lines(), lines: run.lines };
}

/** Opens the report with the network blocked, hands the page to `use`, and closes it. */
async function withPage(run, view, settings, use) {
  const fail = (text, places) => run.failures.add(view, text, places);
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${VIEW_LIMIT_MS / 1000} s`)), VIEW_LIMIT_MS);
  });
  const isInside = (url) => url.startsWith("data:") || url.split("#")[0] === run.url;
  let context;
  try {
    context = await run.browser.newContext({ viewport: { width: 1400, height: HEIGHT }, ...settings });
    // Offline stops what cannot be intercepted, such as sockets.
    await context.setOffline(true);
    await context.route("**/*", (route) => (isInside(route.request().url()) ? route.continue() : route.abort()));
    const page = await context.newPage();
    page.on("request", (request) => {
      if (!isInside(request.url())) fail(`request: ${request.url().slice(0, 200)}`);
    });
    page.on("websocket", (socket) => fail(`request: ${socket.url().slice(0, 200)}`));
    page.on("console", (message) => {
      if (message.type() === "error") fail(`console error: ${message.text()}`);
      if (message.type() === "warning") run.notes.add(view, `console warning: ${message.text()}`);
    });
    page.on("pageerror", (error) => fail(`page error: ${error.message}`));
    page.on("dialog", (dialog) => {
      fail(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    const work = async () => {
      await page.goto(run.url, { waitUntil: "load", timeout: 30_000 });
      await scrollThrough(page);
      return use(page, fail);
    };
    return await Promise.race([work(), limit]);
  } catch (error) {
    fail(`not checked to the end: ${error.message.split("\n")[0]}`);
  } finally {
    clearTimeout(timer);
    await context?.close();
  }
}

/** Shows every screen once, so that whatever waits to be seen is loaded. Waits here: without scripts a page has no timers. */
async function scrollThrough(page) {
  for (let screen = 0; screen < MAX_SCREENS && (await page.evaluate(inPage.showScreen, screen)); screen += 1) {
    await page.waitForTimeout(20);
  }
  await page.evaluate(inPage.showScreen, 0);
}

/** The text a reader sees with scripts must be there without them. */
async function checkWithoutScripts(run) {
  const read = async (page) => {
    await page.evaluate(inPage.openDetails);
    return page.evaluate(inPage.visibleText);
  };
  const withScripts = await withPage(run, "scripts on", {}, read);
  await withPage(run, "scripts off", { javaScriptEnabled: false }, async (page, fail) => {
    const without = await read(page);
    const all = without.join(" ");
    if (!all) fail("no text");
    const missing = (withScripts ?? []).filter((piece) => !all.includes(piece));
    if (missing.length > 0) fail("text is missing", missing.map((piece) => `"${piece.slice(0, 80)}"`));
    run.lines.push(`scripts off  ${without.length} pieces of text, ${missing.length} missing`);
  });
}

/** A content security policy hides what the page would load; once it is taken away, that must still be nothing. */
async function checkWithoutPolicy(run) {
  await withPage(run, "no policy", { bypassCSP: true }, async (page, fail) => {
    const addresses = await page.evaluate(inPage.outsideAddresses);
    if (addresses.length > 0) fail("names something outside", addresses);
  });
}

async function checkViews(run, width) {
  const firstScreens = [];
  for (const colorScheme of SCHEMES) {
    const view = `${colorScheme} ${width}`;
    const settings = { colorScheme, viewport: { width, height: HEIGHT } };
    await withPage(run, view, settings, async (page, fail) => {
      firstScreens.push(await page.screenshot());
      if ((await page.locator("meta[name=viewport]").count()) === 0) fail("no meta viewport: phones show it tiny");

      await checkWidth(page, fail);
      let rules = await checkAxe(run, page, view, fail);
      await takeShots(run, page, `${colorScheme}-${width}`);

      // Then once more with all that was folded.
      const folded = await page.evaluate(inPage.openDetails);
      if (folded > 0) {
        await checkWidth(page, fail);
        rules = Math.max(rules, await checkAxe(run, page, view, fail));
        await takeShots(run, page, `${colorScheme}-${width}-open`);
      }
      const { height } = await page.evaluate(inPage.measureWidth);
      const stops = await checkKeyboard(page, fail);
      run.lines.push(`${view.padEnd(11)}  ${height} px high, ${folded} folded, ${rules} axe rules, ${stops} places for Tab`);
    });
  }
  if (firstScreens.length === 2 && firstScreens[0].equals(firstScreens[1])) {
    run.failures.add(`${width}`, "light and dark look the same");
  }
}

async function checkWidth(page, fail) {
  const { shown, content, culprits } = await page.evaluate(inPage.measureWidth);
  if (content > shown) fail(`scrolls sideways: ${content} px wide, ${shown} shown`, culprits);
}

/** Runs axe-core, which the page's policy does not stop because the browser evaluates it. Returns how many rules ran. */
async function checkAxe(run, page, view, fail) {
  await page.evaluate(AXE);
  const result = await page.evaluate(
    (values) => globalThis.axe.run(document, { runOnly: { type: "tag", values } }),
    AXE_TAGS,
  );
  const places = (rule) =>
    rule.nodes.map((node) => {
      const contrast = node.any[0]?.data?.contrastRatio;
      return node.target.flat().join(" ") + (contrast ? ` (contrast ${contrast})` : "");
    });
  for (const rule of result.violations) fail(`axe ${rule.id}: ${rule.help}`, places(rule));
  for (const rule of result.incomplete) run.notes.add(view, `axe cannot decide ${rule.id}: ${rule.help}`, places(rule));
  return result.passes.length + result.violations.length + result.incomplete.length;
}

/** Presses Tab through the page. Returns how many elements should have been reached. */
async function checkKeyboard(page, fail) {
  const wanted = await page.evaluate(inPage.expectFocus);
  // Twice as many as needed, because boxes and others may take the focus too.
  for (let presses = 0; presses < 2 * wanted + 20; presses += 1) {
    await page.keyboard.press("Tab");
    if (!(await page.evaluate(inPage.focusReached))) break;
  }
  const missed = await page.evaluate(inPage.notReached);
  if (missed.length > 0) fail("Tab does not reach", missed);
  return wanted;
}

/** The whole page in pieces that can be looked at. */
async function takeShots(run, page, name) {
  if (!run.shots) return;
  const { shown, height } = await page.evaluate(inPage.measureWidth);
  for (let y = 0, piece = 1; y < height; y += PIECE, piece += 1) {
    const clip = { x: 0, y, width: shown, height: Math.min(PIECE, height - y) };
    const file = `${name}-${String(piece).padStart(2, "0")}.png`;
    await page.screenshot({ path: join(run.shots, file), fullPage: true, clip });
  }
}

async function checkPrint(run) {
  const settings = { viewport: { width: PAPER_WIDTH, height: HEIGHT } };
  await withPage(run, "print", settings, async (page, fail) => {
    await page.emulateMedia({ media: "print" });
    // Browsers shrink a page that is too wide for the paper, or cut it.
    await checkWidth(page, fail);
    const cut = await page.evaluate(inPage.cutOffBoxes);
    if (cut.length > 0) run.notes.add("print", "shows only part of its width on paper", cut);
    await takeShots(run, page, "print");
    if (!run.shots) return;
    const margin = { top: "1cm", right: "1cm", bottom: "1cm", left: "1cm" };
    await page.pdf({ path: join(run.shots, "print.pdf"), format: "A4", margin, printBackground: true });
  });
}

async function main() {
  const usage = "usage: node check.mjs path/to/report.html [--shots DIR]";
  let path, shots;
  try {
    const { positionals, values } = parseArgs({ allowPositionals: true, options: { shots: { type: "string" } } });
    if (positionals.length !== 1) throw new Error("one report, please");
    [path] = positionals;
    ({ shots } = values);
  } catch (error) {
    console.error(`${error.message}\n${usage}`);
    return 2;
  }
  let result;
  try {
    result = await check(path, shots);
  } catch (error) {
    console.error(`not checked: ${error.message}`);
    return 1;
  }
  console.log(`${path}: ${result.size} bytes`);
  for (const line of result.lines) console.log(`  ${line}`);
  for (const note of result.notes) console.log(`  look: ${note}`);
  for (const failure of result.failures) console.log(`  FAIL: ${failure}`);
  console.log(result.failures.length === 0 ? "passed" : `failed: ${result.failures.length}`);
  return result.failures.length === 0 ? 0 : 1;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main();
