// Each page differs from the good one in one way, and the check must say so.
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { check } from "./check.mjs";

const POLICY = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">`;
const PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

const GOOD = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${POLICY}
<meta name="viewport" content="width=device-width">
<title>A good page</title>
<style>
:root { color-scheme: light dark; --ink: #111; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #111; } a { color: #9cf; } }
body { color: var(--ink); background: var(--paper); }
.wide { overflow-x: auto; }
.wide table { width: 1600px; }
@media print { .wide table { width: auto; } }
</style>
</head>
<body>
<main>
<h1>Verdict</h1>
<p>One recipe is better. <a href="#more">See why</a>.</p>
<img src="${PIXEL}" alt="A single pixel">
<div class="wide" tabindex="0" role="region" aria-label="Table of recipes">
<table><tr><th scope="col">recipe</th><th scope="col">accuracy</th></tr><tr><td>softmax</td><td>92.5</td></tr></table>
</div>
<h2 id="more">More</h2>
<details><summary>Numbers</summary><p>Folded text with <a href="#more">a link</a>.</p></details>
</main>
<script>document.querySelector("h2").append(" ");</script>
</body>
</html>
`;

/** The good page with one thing replaced; the thing must be there. */
const changed = (from, to) => {
  assert.ok(GOOD.includes(from), from);
  return GOOD.replace(from, () => to);
};
const appended = (html) => changed("</main>", `${html}</main>`);

let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "check-report-"));
});
after(() => rm(folder, { recursive: true }));

async function checkPage(html, shots) {
  const path = join(folder, "page with space.html");
  await writeFile(path, html);
  return check(path, shots);
}

test("a good page passes and leaves its pictures", async () => {
  const shots = join(folder, "shots");
  const { failures, lines } = await checkPage(GOOD, shots);
  assert.deepEqual(failures, []);
  assert.equal(lines.length, 5);
  const files = await readdir(shots);
  for (const scheme of ["light", "dark"]) {
    for (const width of [380, 1400]) assert.ok(files.includes(`${scheme}-${width}-open-01.png`), files.join(" "));
  }
  assert.ok(files.includes("print.pdf"), files.join(" "));
});

test("a long page is shown in pieces", async () => {
  const shots = join(folder, "long");
  const { failures } = await checkPage(appended(`<div style="height: 4500px"></div>`), shots);
  assert.deepEqual(failures, []);
  const pieces = (await readdir(shots)).filter((file) => /^dark-1400-\d\d/.test(file));
  assert.equal(pieces.length, 3, pieces.join(" "));
});

const bad = {
  "text of low contrast": [appended(`<p style="color: #888; background: #999">Pale</p>`), /axe color-contrast.*light 380.*dark 1400/],
  "low contrast that only dark has": [changed("--ink: #eee", "--ink: #222"), /axe color-contrast.*\[dark 380, dark 1400\]/],
  "low contrast in a folded part": [changed("<p>Folded", `<p style="color: #888; background: #999">Folded`), /axe color-contrast/],
  "a picture without words": [changed(` alt="A single pixel"`, ""), /axe image-alt/],
  "a picture from elsewhere": [
    changed(POLICY, "").replace(PIXEL, "http://127.0.0.1:9/a.png"),
    /request: http:\/\/127\.0\.0\.1:9\/a\.png.*light 380/,
  ],
  "a picture from elsewhere behind the policy": [changed(PIXEL, "http://127.0.0.1:9/a.png"), /request: http:.*no policy/],
  "a picture beside the page": [changed(PIXEL, "a.png"), /names something outside.*<img src="a.png">/s],
  "a request of a script": [changed("<script>", `<script>fetch("http://127.0.0.1:9/").catch(() => {});`).replace(POLICY, ""), /request: http/],
  "a socket": [changed("<script>", `<script>new WebSocket("ws://127.0.0.1:9/");`).replace(POLICY, ""), /request: ws:/],
  "an error on the console": [changed("<script>", `<script>console.error("lost");`), /console error: lost.*light 380/],
  "an error of a script": [changed("<script>", "<script>null.x;"), /page error: Cannot read/],
  "text that a script writes": [changed("<script>", `<script>document.querySelector("p").append("Late words");`), /text is missing.*"Late words"/s],
  "text that a script uncovers": [changed("<p>One", `<p hidden>One`).replace("<script>", `<script>document.querySelector("p").hidden = false;`), /text is missing.*"One recipe/s],
  "a document that scrolls sideways": [changed(".wide { overflow-x: auto; }", ""), /scrolls sideways.*light 380.*table/s],
  "a link that Tab skips": [changed(`<p>One recipe is better. <a`, `<p>One recipe is better. <a tabindex="-1"`), /Tab does not reach.* a "See why"/s],
  "a focus that is thrown away": [
    changed("<script>", `<script>document.querySelector("summary").onfocus = (event) => event.target.blur();`),
    /Tab does not reach.* summary "Numbers"/s,
  ],
  "a box that scrolls without tabindex": [changed(` tabindex="0" role="region"`, ` role="region"`), /Tab does not reach.* div "recipe/s],
  "no dark": [changed(":root { color-scheme: light dark;", ":root {").replace("(prefers-color-scheme: dark)", "(width < 0)"), /light and dark look the same/],
  "no meta viewport": [changed(`<meta name="viewport" content="width=device-width">`, ""), /no meta viewport/],
  "too many bytes": [appended(`<!--${"x".repeat(2_000_000)}-->`), /bytes, the limit is 2000000/],
};
for (const [name, [html, expected]] of Object.entries(bad)) {
  test(`${name} fails`, async () => {
    const { failures } = await checkPage(html);
    assert.ok(
      failures.some((failure) => expected.test(failure)),
      `${expected} in:\n${failures.join("\n")}`,
    );
  });
}

test("a page that is not there is said", async () => {
  await assert.rejects(check(join(folder, "none.html")), /ENOENT/);
});
