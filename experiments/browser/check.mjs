// Drives the page in headless Chromium from end to end, and takes a screenshot to look at.
//
//   cd experiments/browser && npm install
//   l2s serve --port 8000 &                                # or: python -m http.server -d page 8000, see docs/export.md
//   node check.mjs http://127.0.0.1:8000/ face.png other.png --shot page.png
//
// It drops the first photo, drags a square around its face (--face LEFT,TOP,SIDE, shares of the width) if the page does
// not look for faces itself, ticks classes off and on, downloads a mask, swaps parts with the second photo if the page can,
// and fails on any error, on any request to another host, and if a click changes nothing.

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const { values, positionals: [url, face, other] } = parseArgs({
  allowPositionals: true,
  options: { shot: { type: "string", default: "page.png" }, face: { type: "string", default: "0.1,0.1,0.8" } },
});
const folder = await fs.mkdtemp(path.join(os.tmpdir(), "page-"));
const browser = await puppeteer.launch({
  args: chromium.args, executablePath: await chromium.executablePath(), headless: "shell",
  defaultViewport: { width: 1160, height: 900 },
});
try {
  const page = await browser.newPage(), faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (!["data:", "blob:"].includes(protocol) && host !== new URL(url).host) faults.push(`asked for ${request.url()}`);
  });
  const session = await page.createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder, eventsEnabled: true });
  await page.goto(url);
  await page.waitForSelector("html[data-ready]", { timeout: 60_000 });

  const upload = async (selector, file) => (await page.$(`${selector} input[type=file]`)).uploadFile(file);
  const said = (selector) => page.waitForFunction(
    (s) => { const line = document.querySelector(s); return !/Working|^$/.test(line.textContent) && line.textContent; },
    { timeout: 120_000 }, selector,
  ).then((handle) => handle.jsonValue());
  const look = () => page.$eval("canvas", (canvas) => canvas.toDataURL());

  await upload("#parse", face);
  console.log("parse:", await said("#status"));
  const rows = await page.$$eval("ul li label", (labels) => labels.map((label) => label.textContent.trim()));
  console.log("classes:", rows.join(", "));
  assert.ok(rows.length >= 3, "fewer than three classes are listed");

  if (await page.$eval("#closer", (line) => !line.hidden)) {
    const whole = await look(), { x, y, width } = await (await page.$("canvas")).boundingBox();
    const [left, top, side] = values.face.split(",").map((share) => share * width);
    await page.mouse.move(x + left, y + top);
    await page.mouse.down();
    await page.mouse.move(x + left + side, y + top + side, { steps: 3 });
    await page.mouse.up();
    console.log("closer:", await said("#status"));
    assert.notEqual(await look(), whole, "looking closer changes nothing");
  }

  const ticked = await look();
  await page.click("#none");
  assert.notEqual(await look(), ticked, "ticking all classes off changes nothing");
  await page.click("#all");
  await page.click("ul li:nth-child(1) input");
  assert.equal(await look(), ticked, "ticking the classes on again does not restore the picture");
  await page.click("ul li:nth-child(2) button");
  const done = await new Promise((resolve) => session.on("Browser.downloadProgress", (event) => event.state === "completed" && resolve(event)));
  const [file] = await fs.readdir(folder);
  console.log("downloaded:", file, done.totalBytes, "bytes");
  assert.match(file, /\.png$/);

  if (other && await page.$eval("#swap", (section) => !section.hidden)) {
    const zones = await page.$$("#swap .drop input");
    await zones[0].uploadFile(face);
    await zones[1].uploadFile(other);
    await page.click("#regions label:last-child input");
    await page.click("#regions label:nth-last-child(2) input");
    await page.click("#exchange");
    console.log("swap:", await said("#swap p[role]"));
    await page.waitForFunction(() => document.querySelector(".result").naturalWidth > 0, { timeout: 30_000 });
  }
  await page.screenshot({ path: values.shot, fullPage: true });
  assert.deepEqual(faults, []);
  console.log("screenshot:", values.shot);
} finally {
  await browser.close();
  await fs.rm(folder, { recursive: true });
}
