// node chromium.mjs ADDRESS MODEL INPUTS.json: onnxruntime-web in a headless Chromium on named tensors.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const { chromium } = require("playwright-core");
const [address, model, inputs] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const page = await browser.newPage();
await page.goto(`${address}/manifest.json`);
const outputs = await page.evaluate(async ([model, inputs]) => {
  const ort = await import("/examples/web/ort/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  const feeds = {};
  for (const [name, { type, dims, data }] of Object.entries(inputs))
    feeds[name] = new ort.Tensor(type, type === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data), dims);
  const session = await ort.InferenceSession.create(model);
  const found = await session.run(feeds);
  return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, { dims: tensor.dims, data: Array.from(tensor.data) }]));
}, [`/${model}`, JSON.parse(await readFile(inputs, "utf8"))]);
await browser.close();
const { version } = JSON.parse(await readFile(`${process.env.NODE_FOLDER}/node_modules/onnxruntime-web/package.json`, "utf8"));
console.log(JSON.stringify({ version, outputs }));
