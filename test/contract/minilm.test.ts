// The model that an operator installs, in its process: its vectors are those of onnxruntime.

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ChildEmbedder } from "../../src/features/search/meaning/child-embedder.ts";
import { installModel, modelPath, readPackage } from "../../src/features/search/meaning/model/model-files.ts";
import { knownModelPackage } from "../kit/known-model.ts";
import { temporaryFolder } from "../kit/temporary.ts";

/** Texts with the vectors that onnxruntime made of the same file: 32-bit numbers in base64. */
interface Golden {
  made_by: string;
  rows: { text: string; vector: string }[];
}

const { rows }: Golden = JSON.parse(readFileSync(join(import.meta.dir, "golden", "minilm.json"), "utf8"));
const MAIN = join(import.meta.dir, "..", "..", "src", "main.ts");
const WITHIN_MS = 240_000;
const known = knownModelPackage();
const isMissing = "missing" in known;

describe.skipIf(isMissing)("the known model [needs Python 3 with pip and its registry]", () => {
  const data = temporaryFolder();
  const embedder = new ChildEmbedder({ command: [process.execPath, MAIN, "embed", modelPath(data)], env: process.env });
  afterAll(() => embedder.close());

  test("makes the vectors of onnxruntime, of texts of any script, code, control characters and 256 pieces", async () => {
    if ("missing" in known) throw new Error(known.missing);
    await installModel(data, readPackage(known.file), known.file);
    const made = await embedder.embed(
      rows.map(({ text }) => text),
      WITHIN_MS,
      new AbortController().signal,
    );
    expect(made).toHaveLength(9);
    for (const [at, { text, vector }] of rows.entries()) {
      const wanted = new Float32Array(Uint8Array.from(Buffer.from(vector, "base64")).buffer);
      expect(wanted).toHaveLength(384);
      expect(cosine(made[at], wanted), text).toBeGreaterThan(0.9999);
    }
  }, 300_000);
});

function cosine(one: Float32Array = new Float32Array(), other: Float32Array): number {
  return (
    other.reduce((sum, value, at) => sum + value * (one[at] ?? 0), 0) / (Math.hypot(...one) * Math.hypot(...other))
  );
}
