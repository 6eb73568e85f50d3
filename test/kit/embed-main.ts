// A child process that makes vectors, as `cairn embed` does, with a small model. Its arguments say how it misbehaves.

import { Bert } from "../../src/features/search/meaning/model/bert.ts";
import { serve } from "../../src/features/search/meaning/model/model-process.ts";
import { readTensors } from "../../src/features/search/meaning/model/tensors.ts";
import { plainModel, written } from "./small-model.ts";

const [how] = process.argv.slice(2);
if (how === "ends") process.exit(3);
if (how === "silent") await new Promise((resolve) => setTimeout(resolve, 60_000));
if (how === "talks") process.stdout.write("ready\n");

const size = { layers: 1, width: 32, inner: 64, vocabulary: 30_522, positions: 256 };
await serve(
  () => new Bert(readTensors(written(plainModel(size)))),
  process.stdin,
  (response) => void process.stdout.write(`${JSON.stringify(response)}\n`),
);
process.exit(0);
