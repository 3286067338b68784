// node node.mjs MODEL INPUTS.json: onnxruntime-node on named tensors; prints the outputs and the version.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const ort = require("onnxruntime-node");
const [model, inputs] = process.argv.slice(2);
const feeds = {};
for (const [name, { type, dims, data }] of Object.entries(JSON.parse(await readFile(inputs, "utf8"))))
  feeds[name] = new ort.Tensor(type, type === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data), dims);
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
const found = await session.run(feeds);
const outputs = Object.entries(found).map(([name, tensor]) => [name, { dims: tensor.dims, data: Array.from(tensor.data) }]);
console.log(JSON.stringify({ version: require("onnxruntime-node/package.json").version, outputs: Object.fromEntries(outputs) }));
