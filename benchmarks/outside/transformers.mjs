// node transformers.mjs FOLDER TEXT: transformers.js asks FOLDER/student, a model laid out as it wants it, about a text;
// prints its version and the share of each label.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const { env, pipeline } = require("@huggingface/transformers");
const [folder, text] = process.argv.slice(2);
Object.assign(env, { allowRemoteModels: false, localModelPath: folder });
const classify = await pipeline("text-classification", "student", { dtype: "fp32", device: "cpu" });
const said = await classify(text, { top_k: null });
console.log(JSON.stringify([env.version, Object.fromEntries(said.map(({ label, score }) => [label, score]))]));
