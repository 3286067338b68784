// node page.mjs ADDRESS FOLDER: the page of a bundle in a headless Chromium, on a phone and on a desk. Draws a seven,
// chooses a picture, writes a sentence or plays a sound, whatever the page takes; prints what the page says, how long it
// took to the first answer and how many bytes it loaded; keeps pictures.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const { chromium } = require("playwright-core");
const [address, folder] = process.argv.slice(2);
const MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", ...MICROPHONE] });
const SEVEN = [[0.3, 0.22], [0.7, 0.22], [0.45, 0.8]];
const asks = {
  async ink(page) {
    const box = await page.locator("#ink").boundingBox();
    const [first, ...rest] = SEVEN.map(([x, y]) => [box.x + x * box.width, box.y + y * box.height]);
    await page.mouse.move(...first);
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...point, { steps: 25 });
    await page.mouse.up();
  },
  async record(page) {
    const sample = await (await fetch(`${address}/examples/sample.bin`)).arrayBuffer();
    await page.setInputFiles("#file", { name: "a.wav", mimeType: "audio/wav", buffer: wav(Buffer.from(sample), 16000) });
    await page.waitForSelector(".answer");
    const said = await page.locator(".answer").textContent();
    await page.click("#record");  // a beep, by Chromium's own false microphone
    await page.waitForFunction(() => !document.getElementById("record").disabled);
    return said;
  },
  async file(page) {
    await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: await page.screenshot() });
  },
  async text(page) {
    await page.fill("#text", "a warm , funny and quite unforgettable film");
  },
};
function wav(samples, rate) {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0), head.writeUInt32LE(36 + samples.length, 4), head.write("WAVEfmt ", 8), head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20), head.writeUInt16LE(1, 22), head.writeUInt32LE(rate, 24), head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32), head.writeUInt16LE(16, 34), head.write("data", 36), head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}
const rows = [];
for (const [name, width, height] of [["phone", 390, 844], ["desktop", 1280, 800]]) {
  const page = await browser.newPage({ viewport: { width, height } });
  const errors = [];
  let bytes = 0;
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("response", async (response) => {
    if (!response.url().includes("/ort/")) bytes += (await response.body().catch(() => "")).length;
  });
  await page.goto(`${address}/examples/web/`);
  await page.waitForFunction(() => document.documentElement.dataset.ready);
  const said = await page.evaluate(() => ({ ...document.documentElement.dataset }));
  const kind = await page.evaluate((kinds) => kinds.find((id) => document.getElementById(id)), Object.keys(asks));
  const asked = await asks[kind](page);
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${folder}/${name}.png` });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  rows.push({
    name, kind, width, errors, bytes,
    scrolls_sideways: wide > width,
    first_answer_ms: Number(said.ready),
    answer: JSON.parse(said.answer),
    said: asked ?? await page.locator(".answer").textContent(),
    status: await page.locator("#status").textContent(),
  });
}
await browser.close();
console.log(JSON.stringify(rows));
